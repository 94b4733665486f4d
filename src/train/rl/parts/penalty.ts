import { VitroError } from '../../../tensor/errors.js';
import type { Tensor } from '../../../tensor/graph.js';
import { zerosLike } from '../../../tensor/ops/create.js';
import { add, clip, exp, mul, neg, square, sub } from '../../../tensor/ops/elementwise.js';
import type { Penalty } from '../contract.js';
import { maskedMean } from '../sequenceOps.js';

/** Estimates of KL(pi | ref) at a token from d = log ref - log pi (Schulman 2020, "Approximating KL divergence"): k1 and k3 without bias, k3 never negative. */
export const klEstimates: Readonly<Record<string, (d: Tensor) => Tensor>> = {
  k1: (d) => neg(d),
  k2: (d) => mul(0.5, square(d)),
  k3: (d) => sub(sub(exp(d), d), 1),
};

/** Nothing beside the surrogate. */
export const noPenalty: Penalty = {
  name: 'none',
  active: () => false,
  loss: ({ mask }) => ({ loss: zerosLike(mask) }),
};

/** beta k(pi, ref) at every token. At beta 0 it is not there, and no reference is needed. */
export const klPenalty: Penalty = {
  name: 'kl',
  defaults: { beta: 0.04, kl_loss_type: 'k3' },
  needs: ({ beta }) => (beta === 0 ? [] : ['reference']),
  active: ({ beta }) => beta !== 0,
  loss: ({ policy, reference_logp, knob, settings, mask }) => {
    const estimate = klEstimates[String(settings.kl_loss_type)];
    if (!estimate) throw new VitroError(`kl_loss_type must be one of ${Object.keys(klEstimates).join(', ')}, got ${settings.kl_loss_type}`);
    const kl = estimate(clip(sub(reference_logp, policy.logp), -20, 20));
    return { loss: mul(knob('beta'), kl), metrics: { kl: maskedMean(kl, mask) } };
  },
};

/** -entropy_coef H: a bonus for entropy. */
export const entropyBonus: Penalty = {
  name: 'entropy-bonus',
  defaults: { entropy_coef: 0.001 },
  loss: ({ policy, knob, mask }) => {
    const entropy = policy.entropy();
    return { loss: neg(mul(knob('entropy_coef'), entropy)), metrics: { entropy_now: maskedMean(entropy, mask) } };
  },
};

/** Two penalties as one. */
export const both = (a: Penalty, b: Penalty): Penalty => ({
  name: `${a.name}+${b.name}`,
  defaults: { ...a.defaults, ...b.defaults },
  needs: (settings) => [a, b].flatMap(({ needs = [] }) => (typeof needs === 'function' ? needs(settings) : needs)),
  active: (settings) => [a, b].some((p) => p.active?.(settings) ?? true),
  loss: (context) => {
    const parts = [a, b].filter((p) => p.active?.(context.settings) ?? true).map((p) => p.loss(context));
    return {
      loss: parts.map((p) => p.loss).reduce((x, y) => add(x, y), zerosLike(context.mask)),
      metrics: Object.assign({}, ...parts.map((p) => p.metrics ?? {})) as Readonly<Record<string, Tensor>>,
    };
  },
});
