import { div, exp, maximum, mul, stopGradient, sub } from '../../tensor/ops/elementwise.js';
import { sum } from '../../tensor/ops/reduce.js';
import type { SftMethod } from './slot.js';

/**
 * Anchored SFT (Zhu et al. 2025, arXiv:2509.23753): DFT with the divergence from the model that fine-tuning started from.
 *   L = mean_t ( -sg(p_t) log p_t + kl_weight KL(p_0(. | x_<t) || p(. | x_<t)) )
 * Against dft: the second term, over the whole vocabulary, at the tokens that are trained on.
 */
export const asft: SftMethod = {
  id: 'asft',
  summary: 'weighted with the probability, and held near the starting model',
  seed: 'P005',
  paper: 'arXiv:2509.23753',
  equation: 'L = mean_t -sg(p_t) log p_t + kl_weight KL(p_0 || p)',
  parent: 'dft',
  defaults: { probability_power: 1, kl_weight: 0.05 },
  knobs: { kl_weight: 'weight of the divergence from the starting model; 0 is dft' },
  limits: [{ settings: { kl_weight: 0 }, tolerance: 0 }],
  provenance: 'repo',
  assumes: [
    "the direction is KL(start || policy), the default of the authors' code",
    'kl_weight 0.05: their runs use 0.03 to 0.1',
    'the divergence is averaged over the tokens that are trained on, not over prompts',
  ],
  demo: { testbed: 'sft-forgetting', baseline: 'dft', metric: 'eval_retained', cost: 'tokens', expect: 'gain' },
  needs: ['logits'],
  frozen: () => ({ reference: { kind: 'start' } }),
  auxiliary: ({ policy, frozen, sequences, settings }) => {
    const reference = stopGradient(frozen('reference').logprobs);
    const kl = sum(mul(exp(reference), sub(reference, policy.logprobs)), { axis: -1 });
    const { counted } = sequences;
    return div(mul(sum(mul(kl, counted)), Number(settings.kl_weight)), maximum(sum(counted), 1));
  },
};
