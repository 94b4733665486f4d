import { VitroError } from '../../tensor/errors.js';
import type { ScheduleMethod } from './slot.js';
import { checkSpan, withWarmup } from './warmup.js';

/**
 * One over the square root of the step, continuous with the rise (Vaswani et al., "Attention Is All You Need", arXiv:1706.03762, equation 3,
 * in units of the peak): f(s) = sqrt(tau / (tau + s - warmup)).
 * Against constant: the rate falls for ever and needs no last step.
 */
export const inverseSqrt: ScheduleMethod = {
  id: 'inverse_sqrt',
  summary: 'falls as one over the square root of the step, without a last step',
  paper: 'arXiv:1706.03762',
  equation: 'f(s) = sqrt(tau / (tau + s - warmup))',
  parent: 'constant',
  defaults: { timescale: 0 },
  knobs: { timescale: 'tau in steps; 0 takes the length of the warm-up, or 10000 where there is none (as transformers does)' },
  limits: [{ settings: { timescale: 1e15 }, tolerance: 1e-9 }],
  provenance: 'paper',
  assumes: [],
  factor: (settings, span) => {
    checkSpan('inverse_sqrt', span);
    const given = Number(settings.timescale);
    if (!(given >= 0)) throw new VitroError(`inverse_sqrt: timescale must be 0 or more steps, got ${given}`);
    const timescale = given || span.warmupSteps || 10_000;
    return withWarmup(span, (step) => Math.sqrt(timescale / (timescale + step - span.warmupSteps)));
  },
};
