import type { RolloutBatch } from '../batch.js';
import type { Advantage, HostContext } from '../contract.js';

/** Advantages. Legend: r reward of a sample, n samples of a group, l length of a sample; A advantage. All sums are float64. */

const sumOf = (x: ArrayLike<number>): number => {
  let total = 0;
  for (let i = 0; i < x.length; i++) total += x[i] as number;
  return total;
};
export const meanOf = (x: ArrayLike<number>): number => sumOf(x) / Math.max(1, x.length);

/** Standard deviation with n - 1 in the denominator; exactly 0 where all values are equal or there is only one. */
export function deviation(x: ArrayLike<number>): number {
  const first = x[0];
  let equal = true;
  for (let i = 1; i < x.length; i++) equal &&= x[i] === first;
  if (equal) return 0;
  const mean = meanOf(x);
  let squares = 0;
  for (let i = 0; i < x.length; i++) squares += ((x[i] as number) - mean) ** 2;
  return Math.sqrt(squares / (x.length - 1));
}

/** Rewards at tokens [K], those of the samples at their last action, and with `kl_coef` minus kl_coef (log pi_old - log pi_ref) at every action. */
export function tokenRewards(batch: RolloutBatch, klCoef: number): Float64Array {
  const out = batch.token_rewards.slice();
  for (let n = 0; n < batch.size; n++) {
    const { start, end } = batch.span(n);
    let last = end - 1;
    for (let k = end - 1; k > start && batch.actions[last] !== 1; k--) last = k - 1;
    out[last] = (out[last] as number) + (batch.rewards[n] as number);
  }
  const reference = batch.reference_logp;
  if (klCoef !== 0 && reference)
    for (let k = 0; k < out.length; k++)
      if (batch.actions[k] === 1) out[k] = (out[k] as number) - klCoef * ((batch.old_logp[k] as number) - (reference[k] as number));
  return out;
}

/** Reward of each sample [N] with everything that came at its tokens, KL included. */
export function totalRewards(batch: RolloutBatch, klCoef: number): Float64Array {
  const at = tokenRewards(batch, klCoef);
  return Float64Array.from({ length: batch.size }, (_, n) => {
    const { start, end } = batch.span(n);
    return sumOf(at.subarray(start, end));
  });
}

/** Applies f to the values of each group. */
export function byGroup(
  batch: RolloutBatch,
  values: Float64Array,
  f: (own: Float64Array, start: number) => ArrayLike<number>,
): Float64Array {
  const out = new Float64Array(batch.size);
  for (let g = 0; g < batch.groups; g++) {
    const { start, end } = batch.group(g);
    out.set(f(values.subarray(start, end), start), start);
  }
  return out;
}

const klDefaults = { kl_coef: 0 } as const;
const needsReference = ({ kl_coef }: { readonly kl_coef?: unknown }): readonly 'reference'[] => (kl_coef === 0 ? [] : ['reference']);

/** A = r (Williams 1992): no baseline. With kl_coef, the KL to the reference is part of the reward. */
export const rawReturn: Advantage = {
  name: 'return',
  defaults: klDefaults,
  needs: needsReference,
  compute: (batch, context) => totalRewards(batch, context.number('kl_coef')),
};

/** A_i = r_i - mean of the other samples of the group (Kool et al. 2019; Ahmadian et al. 2024, arXiv:2402.14740). A group of one has advantage 0. */
export const leaveOneOut: Advantage = {
  name: 'leave-one-out',
  defaults: klDefaults,
  needs: needsReference,
  compute: (batch, context) =>
    byGroup(batch, totalRewards(batch, context.number('kl_coef')), (r) => {
      const total = sumOf(r);
      return Float64Array.from(r, (x) => (r.length > 1 ? x - (total - x) / (r.length - 1) : 0));
    }),
};

/**
 * A = (r - mean of the group) / (s + 1e-4), s the standard deviation of the group (Shao et al. 2024, arXiv:2402.03300), of the batch, or left out
 * (`scale_rewards`: group, batch, none). Equal rewards give exactly 0.
 */
export const groupNorm: Advantage = {
  name: 'group-norm',
  defaults: { scale_rewards: 'group' },
  compute: (batch, { settings }) => {
    const r = totalRewards(batch, 0);
    const whole = settings.scale_rewards === 'batch' ? deviation(r) : 0;
    return byGroup(batch, r, (own) => {
      const s = deviation(own);
      if (s === 0) return new Float64Array(own.length);
      const mean = meanOf(own);
      const scale = settings.scale_rewards === 'none' ? 1 : 1 / ((settings.scale_rewards === 'batch' ? whole : s) + 1e-4);
      return Float64Array.from(own, (x) => (x - mean) * scale);
    });
  },
};

/** A = r - mean of the group. */
export const groupMean: Advantage = {
  name: 'group-mean',
  compute: (batch) =>
    byGroup(batch, totalRewards(batch, 0), (r) => {
      const mean = meanOf(r);
      return Float64Array.from(r, (x) => x - mean);
    }),
};

/** A = r - b, b = sum_i(l_i r_i) / sum_i(l_i) over the group: the baseline of least variance where log pi's gradient grows with length (arXiv:2505.23585). */
export const lengthWeightedBaseline: Advantage = {
  name: 'length-weighted-baseline',
  compute: (batch) =>
    byGroup(batch, totalRewards(batch, 0), (r, start) => {
      const l = batch.lengths.subarray(start, start + r.length);
      let weighted = 0;
      for (let i = 0; i < r.length; i++) weighted += (l[i] as number) * (r[i] as number);
      const b = weighted / Math.max(1, sumOf(l));
      return Float64Array.from(r, (x) => x - b);
    }),
};

/** A = r - r of the group's greedy sample (Li et al. 2023, arXiv:2310.10505), which itself does not train. */
export const greedyBaseline: Advantage = {
  name: 'greedy-baseline',
  defaults: klDefaults,
  needs: needsReference,
  compute: (batch, context) =>
    byGroup(batch, totalRewards(batch, context.number('kl_coef')), (r, start) => {
      const greedy = r.findIndex((_, i) => batch.samples[start + i]?.trajectory.notes.greedy === true);
      const b = greedy < 0 ? 0 : (r[greedy] as number);
      return Float64Array.from(r, (x, i) => (i === greedy ? 0 : x - b));
    }),
};

/** Subtracts the mean over all actions and divides by their standard deviation (plus 1e-8); in place. */
function whiten(batch: RolloutBatch, values: Float64Array): Float64Array {
  const own = values.filter((_, k) => batch.actions[k] === 1);
  const [mean, s] = [meanOf(own), deviation(own)];
  for (let k = 0; k < values.length; k++) values[k] = batch.actions[k] === 1 ? ((values[k] as number) - mean) / (s + 1e-8) : 0;
  return values;
}

/** Calls f with the actions of a sample from the last to the first: f(k, next), next = the action after k, or -1. */
function backwards(batch: RolloutBatch, n: number, f: (k: number, next: number) => void): void {
  const { start, end } = batch.span(n);
  let next = -1;
  for (let k = end - 1; k >= start; k--) {
    if (batch.actions[k] !== 1) continue;
    f(k, next);
    next = k;
  }
}

/**
 * Return from each token on with the KL to the reference at every token, normalised over all tokens of the batch (Hu 2025, arXiv:2501.03262):
 *   R_t = sum_{s >= t} gamma^{s-t} (r_s - kl_coef (log pi_old - log pi_ref)_s),   A = (R - mean R) / std R
 */
export const batchNormReturns: Advantage = {
  name: 'batch-norm-returns',
  defaults: { kl_coef: 0, gamma: 1 },
  needs: needsReference,
  compute: (batch, context) => {
    const at = tokenRewards(batch, context.number('kl_coef'));
    const gamma = context.number('gamma');
    const out = new Float64Array(batch.tokens);
    for (let n = 0; n < batch.size; n++)
      backwards(batch, n, (k, next) => {
        out[k] = (at[k] as number) + (next < 0 ? 0 : gamma * (out[next] as number));
      });
    return whiten(batch, out);
  },
};

/**
 * Generalized advantage estimation (Schulman et al. 2016, arXiv:1506.02438) over the values that the learner `values` predicts before each token:
 *   d_t = r_t + gamma V_{t+1} - V_t,   A_t = d_t + gamma lam A_{t+1},   returns = A + V
 * Advantages are normalised over the batch; the column `returns` is what the values learn.
 */
export const gae: Advantage = {
  name: 'gae',
  defaults: { kl_coef: 0, gamma: 1, lam: 0.95, whiten_advantages: true },
  needs: needsReference,
  compute: (batch, context: HostContext) => {
    const values = batch.columns.values ?? new Float64Array(batch.tokens);
    const at = tokenRewards(batch, context.number('kl_coef'));
    const [gamma, lam] = [context.number('gamma'), context.number('lam')];
    const out = new Float64Array(batch.tokens);
    const returns = new Float64Array(batch.tokens);
    for (let n = 0; n < batch.size; n++)
      backwards(batch, n, (k, next) => {
        const after = next < 0 ? 0 : (values[next] as number);
        const d = (at[k] as number) + gamma * after - (values[k] as number);
        out[k] = d + (next < 0 ? 0 : gamma * lam * (out[next] as number));
        returns[k] = (out[k] as number) + (values[k] as number);
      });
    batch.columns.returns = returns;
    return context.settings.whiten_advantages === true ? whiten(batch, out) : out;
  },
};
