import type { Tensor } from '../../tensor/graph.js';
import { add, cast, div, exp, ge, gt, maximum, mul, neg, stopGradient, sub, where } from '../../tensor/ops/elementwise.js';
import { gather } from '../../tensor/ops/indexing.js';
import { sort } from '../../tensor/ops/order.js';
import { sum } from '../../tensor/ops/reduce.js';
import type { SftContext, SftMethod } from './slot.js';

/** Median of the values [S] that are present (the lower one of an even number); 0 without any. */
function median(values: Tensor, present: Tensor): Tensor {
  const count = sum(present);
  const sorted = sort(where(gt(present, 0), values, Number.MAX_SAFE_INTEGER));
  const place = cast(maximum(div(sub(count, 1), 2), 0), 'i32');
  return where(ge(count, 1), gather(sorted, place), 0);
}

/** Temperature: the given one, or the median over the sequences of their mean loss. */
function temperature({ policy, sequences, settings }: SftContext): Tensor | number {
  const fixed = Number(settings.tau);
  if (fixed > 0) return fixed;
  const { sums, lengths, presentSequences } = sequences;
  return maximum(median(div(neg(sums(policy.logp)), maximum(lengths, 1)), presentSequences), 1e-6);
}

/**
 * Token-adaptive loss reweighting (Lin et al. 2025, arXiv:2509.20758): tokens that the model finds hard are played down.
 *   w_t = max(w_min, p_t^(1/tau)),   tau = median over the sequences of their mean loss
 * Against sft: the weights, without gradient. They solve min_w sum w_t l_t + tau sum w_t log w_t over the simplex, up to the factor that makes them
 * sum to one.
 */
export const talr: SftMethod = {
  id: 'talr',
  summary: 'hard tokens weigh less, at a temperature that follows the loss',
  seed: 'P138',
  paper: 'arXiv:2509.20758',
  equation: 'w_t = max(w_min, sg(p_t)^(1/tau)), tau = median of the mean losses of the sequences',
  parent: 'sft',
  defaults: { tau: 0, w_min: 0.01, normalize: false },
  knobs: {
    tau: 'temperature; 0 = the median of the mean losses of the sequences in the batch',
    w_min: 'least weight of a token; 1 is sft',
    normalize: 'divides the weights by their mean, so that the loss keeps its scale',
  },
  limits: [{ settings: { w_min: 1 }, tolerance: 0 }],
  provenance: 'derived',
  assumes: [
    'the weights are not normalised to sum to one: p^(1/tau) is at most 1, and a floor of w_min only means something on that scale',
    'tau is the median over the sequences of the batch, the lower one of an even number',
    'w_min 0.01',
  ],
  demo: { testbed: 'sft-forgetting', baseline: 'sft', metric: 'eval_retained', cost: 'tokens', expect: 'gain' },
  weight: (context) => {
    const { policy, settings, sequences } = context;
    const weight = stopGradient(maximum(exp(div(policy.logp, temperature(context))), Number(settings.w_min)));
    if (settings.normalize !== true) return weight;
    const { counted } = sequences;
    return div(mul(weight, maximum(sum(counted), 1)), add(sum(mul(weight, counted)), 1e-9));
  },
};
