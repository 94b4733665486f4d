import type { RolloutBatch } from '../batch.js';
import type { Advantage } from '../contract.js';
import { tokenCredit } from './entropyCredit.js';
import { hiddenStates, measureBatch, outputErrors } from './measures.js';

/**
 * Influence of tokens on the likelihood of right answers through the output layer (Deng et al. 2025, arXiv:2505.18830 and arXiv:2510.03669).
 * Legend: h last hidden state [D] and g = onehot - pi [V] at a token; a step on the token's log-probability moves the output layer by g h^T.
 */

/**
 * s_k = sum over the tokens j of right answers of <g_k, g_j> <h_k, h_j>: the rate at which log-probabilities of right answers rise together when the output
 * layer moves along the gradient of token k. One value for each row; `right` marks the tokens of right answers.
 */
export function influence(hidden: readonly Float64Array[], errors: readonly Float64Array[], right: readonly boolean[]): Float64Array {
  const [D, V] = [hidden[0]?.length ?? 0, errors[0]?.length ?? 0];
  // M = sum_j g_j h_j^T, so that s_k = g_k^T M h_k
  const M = new Float64Array(V * D);
  for (const [j, h] of hidden.entries()) {
    if (!right[j]) continue;
    const g = errors[j] as Float64Array;
    for (let v = 0; v < V; v++) {
      const x = g[v] as number;
      for (let d = 0; d < D; d++) M[v * D + d] = (M[v * D + d] as number) + x * (h[d] as number);
    }
  }
  return Float64Array.from(hidden, (h, k) => {
    const g = errors[k] as Float64Array;
    let total = 0;
    for (let v = 0; v < V; v++) {
      let row = 0;
      for (let d = 0; d < D; d++) row += (M[v * D + d] as number) * (h[d] as number);
      total += (g[v] as number) * row;
    }
    return total;
  });
}

/** Tokens of a group that the policy chose. */
function groupTokens(batch: RolloutBatch, g: number): { readonly tokens: readonly number[]; readonly sample: readonly number[] } {
  const [tokens, sample]: [number[], number[]] = [[], []];
  const { start, end } = batch.group(g);
  for (let n = start; n < end; n++)
    for (let k = batch.span(n).start; k < batch.span(n).end; k++)
      if (batch.actions[k] === 1) {
        tokens.push(k);
        sample.push(n);
      }
  return { tokens, sample };
}

/** Smallest mean influence of the tokens of a right answer upon right answers; 0 where there is none. */
function smallestMean(values: Float64Array, sample: readonly number[], right: readonly boolean[]): number {
  const sums = new Map<number, [number, number]>();
  for (const [i, n] of sample.entries()) {
    if (!right[i]) continue;
    const [total, count] = sums.get(n) ?? [0, 0];
    sums.set(n, [total + (values[i] as number), count + 1]);
  }
  return sums.size === 0 ? 0 : Math.min(...[...sums.values()].map(([total, count]) => total / count));
}

/**
 * THR_k = sign(A) s_k;   A_k = A (1 + thr_p sign(THR_k)) where |THR_k| >= thr_beta min_i (mean s of right answer i), else 0. Only groups with right and wrong
 * answers change. Costs two forward passes over the batch.
 */
export const withHiddenReward = (inner: Advantage): Advantage => ({
  ...inner,
  name: `${inner.name}+hidden-reward`,
  defaults: { ...inner.defaults, thr_p: 0.2, thr_beta: 1, right_above: 0.5 },
  prepare: async (batch, context) => {
    await inner.prepare?.(batch, context.of(inner));
    const hidden = await measureBatch(batch, hiddenStates, context);
    const errors = await measureBatch(batch, outputErrors, context);
    const [score, threshold] = [new Float64Array(batch.tokens), new Float64Array(batch.tokens)];
    for (let g = 0; g < batch.groups; g++) {
      const { tokens, sample } = groupTokens(batch, g);
      const right = sample.map((n) => (batch.rewards[n] as number) > context.number('right_above'));
      if (!right.includes(true) || !right.includes(false)) continue;
      const pick = (rows: readonly Float64Array[]): Float64Array[] => tokens.map((k) => rows[k] as Float64Array);
      const own = influence(pick(hidden), pick(errors), right);
      const least = smallestMean(own, sample, right);
      for (const [i, k] of tokens.entries()) [score[k], threshold[k]] = [own[i] as number, least];
    }
    Object.assign(batch.columns, { thr_score: score, thr_threshold: threshold });
  },
  compute: (batch, context) => {
    const out = tokenCredit(inner, batch, context);
    const [p, beta] = [context.number('thr_p'), context.number('thr_beta')];
    const { thr_score: score = new Float64Array(batch.tokens), thr_threshold: threshold = new Float64Array(batch.tokens) } = batch.columns;
    let kept = 0;
    for (let k = 0; k < out.length; k++) {
      const reward = Math.sign(out[k] as number) * (score[k] as number);
      const stays = Math.abs(reward) >= beta * (threshold[k] as number);
      if (stays) kept++;
      out[k] = stays ? (out[k] as number) * (1 + p * Math.sign(reward)) : 0;
    }
    context.metric('thr/kept_mean', kept / Math.max(1, out.length));
    return out;
  },
});
