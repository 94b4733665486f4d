import type { NDArray } from '../../../tensor/array.js';
import { foldIn, keyWords, threefryBits } from '../../../tensor/random/threefry.js';
import type { Advantage, Grouping, HostContext, Prompts, Rollout } from '../contract.js';
import { deviation, meanOf, totalRewards } from './advantage.js';
import { sampleFlat } from './sampling.js';

/**
 * Single-stream policy optimization (Xu and Ding 2025, arXiv:2509.13232). Every problem x has a Beta(a, b) estimate of its success rate, v = a / (a + b), that
 * forgets as the policy moves away from the one that last acted on x:
 *   a = rho a + r,   b = rho b + 1 - r,   rho = 2^(-D / kl_half_life) within [rho_min, rho_max],   D = mean |log pi - log pi_then| over that completion
 */

const prior = 0.5;
/** a and b of all problems. */
const counts = ({ tasks }: Pick<HostContext, 'tasks'>) =>
  [tasks.column('spo_successes', prior), tasks.column('spo_failures', prior)] as const;

const rate = (a: number, b: number): number => a / (a + b);

/** Numbers 0 ... n-1 without replacement, i with a chance in proportion to weights[i] (Efraimidis and Spirakis 2006); whole rounds more where count > n. */
export function weightedDraw(key: NDArray, weights: ArrayLike<number>, count: number): number[] {
  const n = weights.length;
  const out: number[] = [];
  for (let round = 0; out.length < count; round++) {
    const bits = threefryBits(keyWords(foldIn(key, round)), n);
    const arrival = Float64Array.from(bits, (word, i) => -Math.log((word + 0.5) / 2 ** 32) / (weights[i] as number));
    const order = [...arrival.keys()].sort((i, j) => (arrival[i] as number) - (arrival[j] as number));
    out.push(...order.slice(0, count - out.length));
  }
  return out;
}

/** What the policy last did about a problem. */
interface Act {
  readonly context: number[];
  readonly tokens: number[];
  readonly logps: number[];
}

interface Memory {
  draws: number;
  /** by problem */
  acts: Record<string, Act>;
}

/** rho of the problems that are asked now. */
async function retention(ids: readonly number[], context: HostContext<Memory>): Promise<Map<number, number>> {
  const [half, least, most] = [context.number('kl_half_life'), context.number('rho_min'), context.number('rho_max')];
  const known = least < most ? ids.flatMap((id) => (context.state.acts[id] ? [{ id, act: context.state.acts[id] }] : [])) : [];
  const sequences = known.map(({ act }) => ({ context: Int32Array.from(act.context), tokens: Int32Array.from(act.tokens) }));
  const now = sequences.length > 0 ? await context.policy.logps(sequences) : [];
  const drift = new Map(
    known.map(({ id, act }, i) => [id, meanOf(act.logps.map((x, t) => Math.abs(((now[i] as Float64Array)[t] as number) - x)))]),
  );
  return new Map(ids.map((id) => [id, Math.min(most, Math.max(least, 2 ** (-(drift.get(id) ?? 0) / half)))]));
}

/**
 * num_generations times as many problems as usual, for a single completion each, drawn with weights sqrt(v (1 - v)) + priority_epsilon. Old evidence about
 * them is discounted by rho here, before they are asked: v stays what it was.
 */
export const prioritizedPrompts: Prompts<Memory> = {
  name: 'prioritized',
  defaults: { priority_epsilon: 0.05, kl_half_life: 0.06, rho_min: 0.875, rho_max: 0.96 },
  init: () => ({ draws: 0, acts: {} }),
  next: async (count, dataset, context) => {
    const [a, b] = counts(context);
    const weights = Float64Array.from({ length: dataset.length }, (_, i) => {
      const v = rate(a[i] as number, b[i] as number);
      return Math.sqrt(v * (1 - v)) + context.number('priority_epsilon');
    });
    const key = foldIn(context.key('priority', 'run'), context.state.draws++);
    const chosen = weightedDraw(key, weights, count * context.number('num_generations'));
    for (const [id, rho] of await retention([...new Set(chosen)], context)) {
      a[id] = rho * (a[id] as number);
      b[id] = rho * (b[id] as number);
    }
    return chosen.map((i) => dataset.prompt(i));
  },
  observe: ({ samples }, { state }) => {
    for (const { trajectory, segments } of samples) {
      const [act] = segments;
      if (act && act.tokens.length > 0)
        state.acts[trajectory.prompt.id] = { context: [...act.context], tokens: [...act.tokens], logps: [...act.logps] };
    }
  },
};

/** One completion of every problem. */
export const singleRollout: Rollout = {
  name: 'single',
  defaults: { mask_truncated_completions: false },
  sample: (prompts, context) => sampleFlat(prompts, context, 1),
};

/** All samples of a step stand in one group. */
export const wholeStep: Grouping = {
  name: 'whole-step',
  samples: (trajectories, { step }) => trajectories.map((trajectory) => ({ trajectory, segments: trajectory.segments, group: `${step}` })),
};

/** (r - v - mean) / (s + 1e-4), mean and standard deviation s over the batch, v from before this batch; then the rewards, held to [0, 1], join the estimates. */
export const trackedValue: Advantage = {
  name: 'tracked-value',
  compute: (batch, context) => {
    const [a, b] = counts(context);
    const ids = batch.samples.map(({ trajectory }) => trajectory.prompt.id);
    const before = ids.map((id) => rate(a[id] ?? prior, b[id] ?? prior));
    const surprise = totalRewards(batch, 0).map((r, n) => r - (before[n] as number));
    const [mean, spread] = [meanOf(surprise), deviation(surprise)];
    for (const [n, id] of ids.entries()) {
      const success = Math.min(1, Math.max(0, batch.rewards[n] as number));
      if (id >= a.length) continue;
      a[id] = (a[id] as number) + success;
      b[id] = (b[id] as number) + 1 - success;
    }
    context.metric('spo/value_mean', meanOf(before));
    return surprise.map((x) => (spread === 0 ? 0 : (x - mean) / (spread + 1e-4)));
  },
};
