import type { Tensor } from '../../tensor/graph.js';
import { logSigmoid } from '../../tensor/ops/activation.js';
import { div, maximum, mul, neg } from '../../tensor/ops/elementwise.js';
import { sum } from '../../tensor/ops/reduce.js';
import type { PreferContext } from './slot.js';

/** -log sigmoid(x), of labels that are wrong with probability `smoothing`: -(1 - s) log sigmoid(x) - s log sigmoid(-x). */
export function smoothedSigmoid(x: Tensor, smoothing: number): Tensor {
  const right = neg(logSigmoid(x));
  return smoothing === 0 ? right : right.mul(1 - smoothing).add(neg(logSigmoid(neg(x))).mul(smoothing));
}

/** Mean cross-entropy of the tokens of the chosen responses. */
export function chosenLoss({ policy, sequences }: PreferContext): Tensor {
  const { pick, sums, lengths, present } = sequences;
  const total = sum(mul(pick(sums(policy.logp), 0), present));
  return div(neg(total), maximum(sum(mul(pick(lengths, 0), present)), 1));
}

/** Log-probability of a token of each response on average, [S]. */
export const meanLogps = ({ logps, sequences }: PreferContext): Tensor => div(logps, maximum(sequences.lengths, 1));
