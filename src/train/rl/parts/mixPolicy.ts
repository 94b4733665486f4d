import type { JsonValue } from '../../../data/stream/batch.js';
import { permutation } from '../../../data/stream/permutation.js';
import { VitroError } from '../../../tensor/errors.js';
import { add, clip, exp, maximum, minimum, mul, neg, sub } from '../../../tensor/ops/elementwise.js';
import type { Buffer, Penalty, Phases, Surrogate } from '../contract.js';
import { maskedMean } from '../sequenceOps.js';
import { type ScoredSample, sampleFromJson, sampleToJson } from '../trajectory.js';
import { klEstimates, klPenalty } from './penalty.js';
import { clipShares, highBound, logRatio, ppoClip } from './surrogate.js';

/** Training on samples of the current and of past policies (Liang et al. 2025, arXiv:2507.06892, ReMix). Legend: pi_k the policy at the start of step k. */

interface History {
  /** fresh samples of the last steps, oldest first */
  steps: JsonValue[][];
  step: number[];
}

/**
 * Adds groups of the last history_steps steps to the fresh ones, so that they are offpolicy_share of the batch; none from reincarnate_at (share of the run) on.
 * A group comes whole, with the rewards that it had.
 */
export const mixedBuffer = (inner: Buffer): Buffer<History> => ({
  name: `${inner.name}+history`,
  defaults: { ...inner.defaults, offpolicy_share: 0.4, history_steps: 2, reincarnate_at: 0.25 },
  needs: inner.needs,
  init: () => ({ steps: [], step: [] }),
  exchange: async (fresh, context) => {
    const { state } = context;
    const samples = await inner.exchange(fresh, context.of(inner));
    const mixing = context.progress < context.number('reincarnate_at');
    const share = mixing ? context.number('offpolicy_share') : 0;
    const old = new Map<string, ScoredSample[]>();
    for (const [i, own] of state.steps.entries())
      for (const s of own.map(sampleFromJson)) {
        const aged = { ...s, trajectory: { ...s.trajectory, age: context.step - (state.step[i] as number) } };
        old.set(s.group, [...(old.get(s.group) ?? []), aged]);
      }
    const groups = [...old.values()];
    const wanted = Math.min(groups.length, Math.round((new Set(samples.map((s) => s.group)).size * share) / (1 - share)));
    const place = groups.length > 0 ? permutation(context.key('history'), groups.length) : () => 0;
    const chosen = Array.from({ length: wanted }, (_, i) => groups[place(i)] as ScoredSample[]).flat();
    if (mixing) {
      state.steps.push(fresh.samples.map(sampleToJson));
      state.step.push(context.step);
    }
    const most = mixing ? context.number('history_steps') : 0;
    for (const list of [state.steps, state.step]) list.splice(0, Math.max(0, list.length - most));
    context.metric('replay/samples', chosen.length);
    return chosen.length > 0 ? [...samples, ...chosen] : samples;
  },
});

/**
 * PPO's clip around the ratio that the token had before the first update of the step: rho = pi / pi_drawn within pi_k / pi_drawn - epsilon and
 * pi_k / pi_drawn + epsilon_high. For fresh samples pi_k / pi_drawn = 1.
 */
export const mixedClip: Surrogate = {
  name: 'mixed-clip',
  defaults: ppoClip.defaults ?? {},
  needs: ['old-policy'],
  loss: (context) => {
    const { advantage, knob, old, old_logp } = context;
    const ratio = exp(logRatio(context));
    const centre = exp(clip(sub(old.logp, old_logp), -20, 20));
    const [low, high] = [sub(centre, knob('epsilon')), add(centre, highBound(context))];
    const loss = neg(minimum(mul(ratio, advantage), mul(minimum(maximum(ratio, low), high), advantage)));
    return { loss, metrics: clipShares(context, ratio, low, high) };
  },
};

/** beta [kl_lambda k(pi, ref) + (1 - kl_lambda) k(pi, pi_k)] at every token. */
export const klConvex: Penalty = {
  ...klPenalty,
  name: 'kl-convex',
  defaults: { ...klPenalty.defaults, kl_lambda: 1 },
  needs: (settings) => (settings.beta === 0 ? [] : ['reference', 'old-policy']),
  loss: ({ policy, reference_logp, old, knob, settings, mask }) => {
    const estimate = klEstimates[String(settings.kl_loss_type)];
    if (!estimate) throw new VitroError(`kl_loss_type must be one of ${Object.keys(klEstimates).join(', ')}, got ${settings.kl_loss_type}`);
    const kl = estimate(clip(sub(reference_logp, policy.logp), -20, 20));
    const step = estimate(clip(sub(old.logp, policy.logp), -20, 20));
    const share = knob('kl_lambda');
    return {
      loss: mul(knob('beta'), add(mul(share, kl), mul(sub(1, share), step))),
      metrics: { kl: maskedMean(kl, mask), kl_step: maskedMean(step, mask) },
    };
  },
};

/**
 * Two stages, the second from T = reincarnate_at (share of the run) on: `utd` epochs over a step's samples, then one; at T the reference becomes the policy.
 * kl_lambda is 1 until T, falls linearly to kl_lambda_min at 2 T, and stays there.
 */
export const reincarnation: Phases<{ done: boolean }> = {
  name: 'reincarnation',
  defaults: { reincarnate_at: 0.25, utd: 2, kl_lambda_min: 0.5 },
  init: () => ({ done: false }),
  at: ({ progress, number, state }) => {
    const [T, least] = [number('reincarnate_at'), number('kl_lambda_min')];
    const late = progress >= T;
    const kl_lambda = T > 0 ? Math.min(1, Math.max(least, 1 - ((1 - least) * (progress - T)) / T)) : least;
    const reset_reference = late && !state.done;
    state.done = late;
    return { settings: { kl_lambda, num_iterations: late ? 1 : number('utd') }, reset_reference };
  },
};
