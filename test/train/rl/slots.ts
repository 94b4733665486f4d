import type { Completion } from '../../../src/infer/index.js';
import { RolloutBatch } from '../../../src/train/rl/batch.js';
import type { RlRecipe } from '../../../src/train/rl/compose.js';
import type { PolicyService, PromptDataset, RolloutContext } from '../../../src/train/rl/contract.js';
import type { Host } from '../../../src/train/rl/host.js';
import { promptDataset } from '../../../src/train/rl/prompts.js';
import type { ScoredSample, Trajectory } from '../../../src/train/rl/trajectory.js';
import { tokenizer } from './support.js';

/** Values of the slots before `reward` as numbers that can be compared, from problems and a policy that are made up. */

/** Twenty chain problems of rising difficulty, with all columns that methods may read. */
export const problems: PromptDataset = promptDataset(
  Array.from({ length: 20 }, (_, i) => {
    const steps = Array.from({ length: 1 + (i % 4) }, (__, j) => `${i}+${j}=${i + j}`);
    const answer = String(i + (i % 4));
    return { prompt: `${i},+${i % 4}=`, answer, solution: `${steps.join(';')}#${answer}`, steps, difficulty: 1 + (i % 4), task: 'chain' };
  }),
  tokenizer,
);

const pieces = ['1+1=2;', '2+1=3;', '3#', '12;', '#'];

/** A policy whose completions depend on context, place, index and purpose alone; temporary updates change them. */
export function madeUpPolicy(): PolicyService {
  let moved = 0;
  const mix = (...parts: readonly number[]): number => parts.reduce((h, x) => (Math.imul(h ^ x, 0x9e3779b1) >>> 0) ^ (h >>> 15), 7) >>> 0;
  const values = (tokens: Int32Array): Float64Array => Float64Array.from(tokens, (t) => -0.05 - Math.sin(t) ** 2);
  return {
    generate: async (requests, { max_tokens = 12, stop = [], purpose = '' } = {}) =>
      requests.map(({ context, n = 1, id }, prompt) =>
        Array.from({ length: n }, (_, index): Completion => {
          const seed = mix(...context, id, index, moved, ...tokenizer.encode(purpose));
          const written = Array.from({ length: 3 }, (__, j) => pieces[mix(seed, j) % pieces.length]).join('');
          const ends = stop.map((s) => written.indexOf(s)).filter((at) => at >= 0);
          const text = ends.length > 0 ? written.slice(0, Math.min(...ends) + 1) : written;
          const full = [...tokenizer.encode(text), ...(ends.length > 0 ? [] : [2])];
          const tokens = Int32Array.from(full.slice(0, max_tokens));
          const logps = Float32Array.from(values(tokens));
          const finish_reason = full.length > max_tokens ? 'length' : 'stop';
          const entropies = new Float32Array(tokens.length).fill(0.2);
          return { prompt, index, tokens, text: text.slice(0, max_tokens), finish_reason, logps, sampling_logps: logps, entropies };
        }),
      ),
    logps: async (sequences) => sequences.map(({ tokens }) => values(tokens)),
    measure: async (sequences) =>
      sequences.map(({ tokens }) => Float64Array.from([...tokens].flatMap((t) => [t, Math.log(0.5), 4 + (t % 90), Math.log(0.45)]))),
    nudged: async (_, __, use) => {
      moved++;
      try {
        return await use();
      } finally {
        moved--;
      }
    },
  };
}

/** Ids of the problems of three steps; after each, the first problem's completions fail and half of the others' succeed. */
export async function promptValues({ slots }: RlRecipe, host: Host): Promise<number[]> {
  const out: number[] = [];
  for (host.step = 0; host.step < 3; host.step++) {
    const context = host.context('prompts', slots.prompts);
    const taken = await slots.prompts.next(6, problems, context);
    out.push(...taken.map(({ id }) => id));
    const samples = taken.flatMap((prompt, place) =>
      [0, 1].map((i): ScoredSample => {
        const trajectory: Trajectory = { prompt, segments: [], text: '', finish_reason: 'stop', trains: true, age: 0, notes: {} };
        return { trajectory, segments: [], group: `${place}`, reward: place > 0 && i === 0 ? 1 : 0, rewards: {} };
      }),
    );
    slots.prompts.observe?.(new RolloutBatch(samples), context);
  }
  return out;
}

/** Contexts that the policy sees of six problems, and those that training scores behind. */
export async function scaffoldValues({ slots }: RlRecipe, host: Host): Promise<number[]> {
  const prompts = Array.from({ length: 6 }, (_, i) => ({ ...problems.prompt(i), place: i }));
  const made = await slots.scaffold.apply(prompts, host.context('scaffold', slots.scaffold));
  return made.flatMap(({ context, replay_context = context }) => [...context, -1, ...replay_context, -2]);
}

/** Even problems are solved now and then, odd ones where the completion begins like the solution. */
function earned({ prompt: { id, columns }, text }: Trajectory): number {
  const [first = ''] = columns.steps as string[];
  return (id % 2 === 0 ? (id + text.length) % 4 === 0 : text.startsWith(first)) ? 1 : 0;
}

/** Contexts, tokens and log-probabilities of the trajectories of two steps. */
export async function rolloutValues({ slots }: RlRecipe, host: Host): Promise<number[]> {
  const out: number[] = [];
  for (host.step = 0; host.step < 2; host.step++) {
    const prompts = Array.from({ length: 4 }, (_, i) => ({ ...problems.prompt(4 * host.step + i), place: i }));
    const context: RolloutContext = {
      ...host.context('rollout', slots.rollout),
      num_generations: 4,
      score: async (trajectories) => Float64Array.from(trajectories, earned),
      scaffold: async (again) => slots.scaffold.apply(again, host.context('scaffold', slots.scaffold)),
    };
    const made = await slots.rollout.sample(await context.scaffold(prompts), context);
    for (const { prompt, segments } of made)
      out.push(prompt.id, ...segments.flatMap((s) => [...s.context, -1, ...s.tokens, -2, ...s.logps, -3]));
  }
  return out;
}
