import type { JsonValue } from '../../../data/stream/batch.js';
import { add, div, exp, gt, mul, neg, where } from '../../../tensor/ops/elementwise.js';
import type { RolloutBatch } from '../batch.js';
import type { Advantage, Buffer, HostContext, Measure, Part, Prompts, Rollout, RolloutContext, Surrogate } from '../contract.js';
import { type Prompt, type ScoredSample, sampleFromJson, sampleToJson } from '../trajectory.js';
import { meanOf } from './advantage.js';
import { logRatio } from './surrogate.js';
import { weightedDraw } from './valueTracker.js';

/** Replay of right completions by the difficulty of their problems and their entropy (Zhan et al. 2025, arXiv:2510.02245, ExGRPO). */

interface Experience {
  /** whether replay has begun */
  started: boolean;
  /** right completions by problem, oldest first, and how many of the problem's last group were right */
  problems: Record<string, { right: number; kept: { step: number; sample: JsonValue }[] }>;
}

/** What prompts and buffer share; kept in the slot `buffer`. */
const experience: Part<Experience> = { name: 'experience', init: () => ({ started: false, problems: {} }) };
const stateOf = (context: HostContext): Experience => context.of(experience, 'buffer').state;

/** Problems that are asked again carry this column. */
const asksAgain = ({ columns }: Prompt): boolean => columns.replay === true;

/** Chances of problems with k right answers among n: those of a normal density around n / 2 with deviation 1 for all problems of one k together. */
export function bucketWeights(right: readonly number[], n: number): Float64Array {
  const sizes = new Map<number, number>();
  for (const k of right) sizes.set(k, (sizes.get(k) ?? 0) + 1);
  return Float64Array.from(right, (k) => Math.exp(-((k - n / 2) ** 2) / 2) / (sizes.get(k) as number));
}

/** Once replay has begun, replay_share of a step's problems come from the store, those of medium difficulty most often. */
export const withExperience = (inner: Prompts): Prompts => ({
  ...inner,
  name: `${inner.name}+experience`,
  defaults: { ...inner.defaults, replay_share: 0.5 },
  next: async (count, dataset, context) => {
    const { started, problems } = stateOf(context);
    const ids = Object.keys(problems);
    const n = started ? Math.min(Math.floor(context.number('replay_share') * count), ids.length) : 0;
    const fresh = n < count ? await inner.next(count - n, dataset, context.of(inner)) : [];
    if (n === 0) return fresh;
    const right = ids.map((id) => problems[id]?.right ?? 0);
    const chosen = weightedDraw(context.key('experience'), bucketWeights(right, context.number('num_generations')), n);
    const again = chosen.map((i) => dataset.prompt(Number(ids[i])));
    return [...fresh, ...again.map((prompt) => ({ ...prompt, columns: { ...prompt.columns, replay: true } }))];
  },
  observe: (batch, context) => inner.observe?.(batch, context.of(inner)),
});

/** One completion less for problems that are asked again: the stored one takes its place. */
export const sparingRollout = (inner: Rollout): Rollout => ({
  ...inner,
  name: `sparing ${inner.name}`,
  sample: async (prompts, context) => {
    const own: RolloutContext = { ...context, ...context.of(inner) };
    const [fresh, again] = [prompts.filter((p) => !asksAgain(p.prompt)), prompts.filter((p) => asksAgain(p.prompt))];
    return [
      ...(fresh.length > 0 ? await inner.sample(fresh, own) : []),
      ...(again.length > 0 ? await inner.sample(again, { ...own, num_generations: context.num_generations - 1 }) : []),
    ];
  },
});

const entropyMeasure: Measure = { name: 'entropy', tensor: (policy) => policy.entropy() };

/** The stored completion of each group that was asked again whose mean entropy under the policy of the moment is lowest. */
async function replayed(samples: readonly ScoredSample[], context: HostContext): Promise<ScoredSample[]> {
  const { problems } = stateOf(context);
  const groups = new Map(samples.filter((s) => asksAgain(s.trajectory.prompt)).map((s) => [s.group, s.trajectory.prompt]));
  const out: ScoredSample[] = [];
  for (const [group, prompt] of groups) {
    const kept = (problems[prompt.id]?.kept ?? []).map(({ step, sample }) => ({ step, sample: sampleFromJson(sample) }));
    if (kept.length === 0) continue;
    const counts = kept.map(({ sample }) => sample.segments.length);
    const entropies = await context.policy.measure(
      kept.flatMap(({ sample }) => sample.segments),
      entropyMeasure,
    );
    const scores = counts.map((n) => meanOf(entropies.splice(0, n).flatMap((x) => [...x])));
    const { step, sample } = kept[scores.indexOf(Math.min(...scores))] as (typeof kept)[number];
    const notes = { ...sample.trajectory.notes, replayed: true };
    out.push({ ...sample, group, trajectory: { ...sample.trajectory, prompt, notes, age: context.step - step } });
  }
  return out;
}

/** Keeps the right completions of groups that are partly right, at most replay_kept a problem; problems whose groups are all right retire. */
function remember({ samples }: { readonly samples: readonly ScoredSample[] }, context: HostContext): void {
  const state = stateOf(context);
  const groups = new Map<string, ScoredSample[]>();
  for (const s of samples) groups.set(s.group, [...(groups.get(s.group) ?? []), s]);
  const isRight = (s: ScoredSample): boolean => s.reward >= context.number('success_reward');
  for (const own of groups.values()) {
    const id = String(own[0]?.trajectory.prompt.id);
    const right = own.filter(isRight);
    if (right.length === own.length) delete state.problems[id];
    else if (right.length > 0 || state.problems[id]) {
      const entry = state.problems[id] ?? { right: 0, kept: [] };
      state.problems[id] = entry;
      entry.right = right.length;
      entry.kept.push(...right.map((s) => ({ step: context.step, sample: sampleToJson(s) })));
      entry.kept.splice(0, entry.kept.length - context.number('replay_kept'));
    }
  }
  if (samples.filter(isRight).length > context.number('replay_start') * samples.length) state.started = true;
}

/** Adds a stored completion to every group that was asked again. Replay begins after the first step in which more than replay_start of the samples are right. */
export const experienceBuffer = (inner: Buffer): Buffer => ({
  ...inner,
  name: `${inner.name}+experience`,
  defaults: { ...inner.defaults, replay_start: 0.35, replay_kept: 8, success_reward: 1 },
  exchange: async (fresh: RolloutBatch, context) => {
    const samples = await inner.exchange(fresh, context.of(inner));
    const old = await replayed(samples, context);
    context.metric('replay/samples', old.length);
    remember(fresh, context);
    return old.length > 0 ? [...samples, ...old] : samples;
  },
});

/** Writes the column `replayed`: 1 at tokens of stored completions. */
export const markReplayed = (inner: Advantage): Advantage => ({
  ...inner,
  name: `${inner.name}+replayed`,
  compute: (batch, context) => {
    batch.columns.replayed = batch.spread(Float64Array.from(batch.samples, (s) => (s.trajectory.notes.replayed === true ? 1 : 0)));
    return inner.compute(batch, context.of(inner));
  },
});

/** At tokens of the column `replayed`, -f(rho) A with f(rho) = rho / (rho + replay_beta) instead of the clip: what is far from the policy counts for little. */
export const shapedReplay = (inner: Surrogate): Surrogate => {
  const { stage } = inner;
  return {
    ...inner,
    name: `${inner.name}+shaped-replay`,
    defaults: { ...inner.defaults, replay_beta: 0.1 },
    loss: (context) => {
      const own = inner.loss(context);
      const ratio = exp(logRatio(context));
      const shaped = neg(mul(div(ratio, add(ratio, context.knob('replay_beta'))), context.advantage));
      return { ...own, loss: where(gt(context.column('replayed'), 0.5), shaped, own.loss) };
    },
    ...(stage ? { stage: (view, context) => stage(view, context.of(inner)) } : {}),
  };
};
