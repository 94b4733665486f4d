import type { Tensor } from '../../../tensor/graph.js';
import {
  abs,
  add,
  and,
  cast,
  clip,
  exp,
  gt,
  lt,
  maximum,
  minimum,
  mul,
  neg,
  sign,
  stopGradient,
  sub,
  where,
} from '../../../tensor/ops/elementwise.js';
import type { LossContext, Surrogate, TokenLoss } from '../contract.js';
import { maskedMean } from '../sequenceOps.js';

/** Token losses of the policy gradient. Legend: A advantage, rho = pi / pi_old at a token. Losses are minimised: they are minus the objective. */

/** log rho, bounded so that its exponential is finite. */
export const logRatio = ({ policy, old_logp }: Pick<LossContext, 'policy' | 'old_logp'>): Tensor =>
  clip(sub(policy.logp, old_logp), -20, 20);

/** epsilon_high, or epsilon where it is 0. */
export const highBound = ({ knob }: LossContext): Tensor => where(gt(knob('epsilon_high'), 0), knob('epsilon_high'), knob('epsilon'));

/** Shares of tokens whose ratio is outside of its bounds while the advantage pushes it further, by TRL's names. */
export function clipShares({ advantage, mask }: LossContext, ratio: Tensor, low: Tensor, high: Tensor): Readonly<Record<string, Tensor>> {
  const share = (condition: Tensor): Tensor => maskedMean(cast(condition, 'f32'), mask);
  const below = share(and(lt(ratio, low), lt(advantage, 0)));
  const above = share(and(gt(ratio, high), gt(advantage, 0)));
  return { 'clip_ratio/low_mean': below, 'clip_ratio/high_mean': above, 'clip_ratio/region_mean': add(below, above) };
}

/** -min(rho A, clip(rho, low, high) A). */
const clipped = (ratio: Tensor, advantage: Tensor, low: Tensor, high: Tensor): Tensor =>
  neg(minimum(mul(ratio, advantage), mul(minimum(maximum(ratio, low), high), advantage)));

/** -A log pi (Williams 1992). No ratio: exact for samples of the current policy. */
export const policyGradient: Surrogate = {
  name: 'policy-gradient',
  loss: ({ policy, advantage }) => ({ loss: neg(mul(advantage, policy.logp)) }),
};

const clipDefaults = { epsilon: 0.2, epsilon_high: 0 } as const;

/**
 * -min(rho A, clip(rho, 1 - epsilon, 1 + epsilon_high) A) (Schulman et al. 2017, arXiv:1707.06347); epsilon_high 0 = epsilon. `delta` > 0 bounds rho from
 * above before all else, which limits the loss of negative advantages (dual clip, Ye et al. 2020).
 */
export const ppoClip: Surrogate = {
  name: 'ppo-clip',
  defaults: { ...clipDefaults, delta: 0 },
  loss: (context) => {
    const { advantage, knob } = context;
    const ratio = exp(logRatio(context));
    const [low, high] = [sub(1, knob('epsilon')), add(1, highBound(context))];
    const bounded = where(gt(knob('delta'), 0), minimum(ratio, knob('delta')), ratio);
    const loss = neg(minimum(mul(bounded, advantage), mul(minimum(maximum(ratio, low), high), advantage)));
    return { loss, metrics: clipShares(context, ratio, low, high) };
  },
};

/** PPO's clip on the geometric mean of a sequence's ratios (Zheng et al. 2025, arXiv:2507.18071): rho = exp(mean_t log rho_t). */
export const sequenceClip: Surrogate = {
  name: 'sequence-clip',
  defaults: { epsilon: 3e-4, epsilon_high: 4e-4 },
  needs: ['sequences'],
  loss: (context) => {
    const { advantage, knob, sequence } = context;
    const ratio = sequence.spread(exp(sequence.mean(logRatio(context))));
    const [low, high] = [sub(1, knob('epsilon')), add(1, highBound(context))];
    return { loss: clipped(ratio, advantage, low, high), metrics: clipShares(context, ratio, low, high) };
  },
};

/** -sg(min(rho, 1 + epsilon_high)) A log pi (MiniMax 2025, arXiv:2506.13585): the weight is clipped, and no token loses its gradient. */
export const clippedWeight: Surrogate = {
  name: 'clipped-weight',
  defaults: { epsilon_high: 5 },
  loss: (context) => {
    const { advantage, knob, policy, mask } = context;
    const ratio = exp(logRatio(context));
    const high = add(1, knob('epsilon_high'));
    const weight = stopGradient(minimum(ratio, high));
    return {
      loss: neg(mul(mul(weight, advantage), policy.logp)),
      metrics: { 'clip_ratio/high_mean': maskedMean(cast(gt(ratio, high), 'f32'), mask) },
    };
  },
};

/**
 * Geometric mean over a sequence of ratios that are clipped one by one in log space (Zhao et al. 2025, arXiv:2507.20673):
 *   -A exp(mean_t m_t),   m_t = log rho_t, no further than epsilon in the direction of A's sign
 */
export const geometricMean: Surrogate = {
  name: 'geometric-mean',
  defaults: { epsilon: 0.4 },
  needs: ['sequences'],
  loss: (context) => {
    const { advantage, knob, sequence, mask } = context;
    const log = logRatio(context);
    const side = sign(advantage);
    const bounded = mul(side, minimum(mul(side, log), knob('epsilon')));
    const ratio = sequence.spread(exp(sequence.mean(bounded)));
    const share = maskedMean(cast(gt(mul(side, log), knob('epsilon')), 'f32'), mask);
    return { loss: neg(mul(advantage, ratio)), metrics: { 'clip_ratio/region_mean': share } };
  },
};

/** -rho A + kl_cov_coef |log rho| at the tokens of the column `cov_selected`, -rho A elsewhere; see kl_cov. */
export const klAtSelected = (context: LossContext): TokenLoss => {
  const { advantage, knob, column, mask } = context;
  const log = logRatio(context);
  const selected = column('cov_selected');
  const loss = add(neg(mul(advantage, exp(log))), mul(mul(knob('kl_cov_coef'), abs(log)), selected));
  return { loss, metrics: { 'kl_cov/selected_mean': maskedMean(selected, mask) } };
};
