import { VitroError } from '../../../tensor/errors.js';
import type { Tensor } from '../../../tensor/graph.js';
import { add, and, cast, div, exp, ge, gt, le, mul, neg, or, square, stopGradient, sub, where } from '../../../tensor/ops/elementwise.js';
import type { Advantage, LossContext, Penalty, Surrogate } from '../contract.js';
import { maskedMean } from '../sequenceOps.js';
import { byGroup, meanOf, totalRewards } from './advantage.js';
import { logRatio } from './surrogate.js';

/** Group-relative REINFORCE on samples of whatever policy, and its regularizers (Yao et al. 2025, arXiv:2509.24203). */

/** Which tokens keep their gradient, as truth values [B, T]; null = all. */
const clipModes: Readonly<Record<string, (context: LossContext, ratio: Tensor) => Tensor | null>> = {
  none: () => null,
  'one-side': ({ advantage, knob }, ratio) =>
    or(and(ge(advantage, 0), le(ratio, add(1, knob('epsilon_high')))), and(le(advantage, 0), ge(ratio, sub(1, knob('epsilon'))))),
  'two-side': ({ knob }, ratio) => and(ge(ratio, sub(1, knob('epsilon'))), le(ratio, add(1, knob('epsilon_high')))),
  ring: (context, ratio) => {
    const { advantage, knob } = context;
    const inner = and(ge(ratio, sub(1, knob('epsilon'))), le(ratio, add(1, knob('epsilon_high'))));
    const below = and(ge(advantage, 0), le(ratio, sub(1, knob('ring_epsilon'))));
    const above = and(le(advantage, 0), ge(ratio, add(1, knob('ring_epsilon_high'))));
    return or(inner, or(below, above));
  },
};

/**
 * -w A log pi M: M cuts the gradient of tokens whose ratio has gone too far (`clip_mode`: one-side where the advantage pushes it further still,
 * two-side, ring, none), w is the ratio without gradient (`importance_weight`) or 1, times exp(A / red_temperature) where that is positive (RED-Weight).
 */
export const clippedReinforce: Surrogate = {
  name: 'clipped-reinforce',
  defaults: {
    clip_mode: 'one-side',
    importance_weight: false,
    epsilon: 0.6,
    epsilon_high: 2,
    ring_epsilon: 0.6,
    ring_epsilon_high: 2,
    red_temperature: 0,
  },
  loss: (context) => {
    const { advantage, policy, settings, knob, mask } = context;
    const mode = clipModes[String(settings.clip_mode)];
    if (!mode) throw new VitroError(`clip_mode must be one of ${Object.keys(clipModes).join(', ')}, got ${settings.clip_mode}`);
    const ratio = stopGradient(exp(logRatio(context)));
    const temperature = knob('red_temperature');
    const active = gt(temperature, 0);
    const emphasis = where(active, exp(div(advantage, where(active, temperature, 1))), 1);
    const credit = mul(advantage, emphasis);
    const weighted = settings.importance_weight === true ? mul(credit, ratio) : credit;
    const inside = mode(context, ratio);
    const loss = neg(mul(weighted, policy.logp));
    if (!inside) return { loss };
    const keep = cast(inside, 'f32');
    return { loss: mul(loss, keep), metrics: { 'clip_ratio/region_mean': maskedMean(sub(1, keep), mask) } };
  },
};

/** opmd_tau (log rho)^2 at every token: holds the policy near the one that the tokens were drawn from. */
export const behaviourPenalty: Penalty = {
  name: 'behaviour',
  defaults: { opmd_tau: 0.1 },
  active: ({ opmd_tau }) => opmd_tau !== 0,
  loss: (context) => {
    const distance = square(logRatio(context));
    return { loss: mul(context.knob('opmd_tau'), distance), metrics: { 'opmd/distance': maskedMean(distance, context.mask) } };
  },
};

/** A = r - (mean of the group + delta_v). Below 0, delta_v lowers the baseline: successes count for more than failures, and equal rewards are imitated. */
export const shiftedBaseline: Advantage = {
  name: 'shifted-baseline',
  defaults: { delta_v: -0.1 },
  compute: (batch, context) =>
    byGroup(batch, totalRewards(batch, 0), (r) => {
      const baseline = meanOf(r) + context.number('delta_v');
      return Float64Array.from(r, (x) => x - baseline);
    }),
};
