import { clip, exp, minimum, neg, stopGradient, sub } from '../../tensor/ops/elementwise.js';
import type { SftMethod } from './slot.js';

/**
 * Proximal SFT (Zhu et al. 2025, arXiv:2508.17784): the clipped objective of PPO with the advantage 1 for every token.
 *   L = mean_t -min(r_t, clip(r_t, 1 - eps_low, 1 + eps_high)),   r_t = p(x_t | x_<t) / p_old(x_t | x_<t)
 * Against sft: the target. p_old is the policy of some steps ago; a token whose probability has risen by eps_high since then gives no gradient.
 * Where p_old is the policy, the gradient is sft's.
 */
export const psft: SftMethod = {
  id: 'psft',
  summary: 'clipped probability ratios to a policy of some steps ago',
  seed: 'P111',
  paper: 'arXiv:2508.17784',
  equation: 'L = mean_t -min(r_t, clip(r_t, 1 - eps_low, 1 + eps_high)), r_t = p_t / p_old_t',
  parent: 'sft',
  defaults: { epsilon: 0.2, epsilon_high: 0.28, refresh_steps: 8 },
  knobs: {
    epsilon: 'room below 1; without effect, as every advantage is positive',
    epsilon_high: 'how much a probability may rise before its token is left alone',
    refresh_steps: 'steps after which the old policy becomes the present one',
  },
  limits: [{ settings: { refresh_steps: 1 }, inputs: 'the old policy is the policy', tolerance: 1e-6, of: 'gradient' }],
  provenance: 'paper',
  assumes: ['the ratio is bounded below exp(20), against overflow', 'no warm-up: the first old policy is the starting model'],
  demo: { testbed: 'sft-forgetting', baseline: 'sft', metric: 'eval_retained', cost: 'tokens', expect: 'gain' },
  frozen: ({ refresh_steps }) => ({ old: { kind: 'every', steps: Number(refresh_steps) } }),
  target: ({ policy, frozen, settings }) => {
    const ratio = exp(minimum(sub(policy.logp, stopGradient(frozen('old').logp)), 20));
    return neg(minimum(ratio, clip(ratio, 1 - Number(settings.epsilon), 1 + Number(settings.epsilon_high))));
  },
};
