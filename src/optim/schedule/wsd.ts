import { checkRatio, decayOf } from './decay.js';
import type { ScheduleMethod } from './slot.js';
import { checkSpan, withWarmup } from './warmup.js';

/**
 * Warmup-stable-decay (Hu et al., "MiniCPM", arXiv:2404.06395; the shapes of the fall after Hagele et al., arXiv:2405.18392):
 *   f(s) = 1 up to the last D = round(decay_ratio total) steps, then r + (1 - r) shape(i / (D + 1)) at the i-th of them, i = 1..D
 * Against constant: the last D steps cool down.
 */
export const wsd: ScheduleMethod = {
  id: 'wsd',
  summary: 'warm up, stay, and cool down over the last steps',
  paper: 'arXiv:2404.06395',
  equation: 'f(s) = 1, then r + (1 - r) shape(i / (D + 1)) at the i-th of the last D steps',
  parent: 'constant',
  defaults: { decay_ratio: 0.2, decay_type: '1-sqrt', min_lr_ratio: 0 },
  knobs: {
    decay_ratio: 'share of all steps that cool down',
    decay_type: 'linear | cosine | 1-sqrt',
    min_lr_ratio: 'factor that the fall would reach one step after the last',
  },
  limits: [
    { settings: { decay_ratio: 0 }, tolerance: 0 },
    { settings: { min_lr_ratio: 1 }, tolerance: 0 },
  ],
  provenance: 'paper',
  assumes: [
    'the floor lies one step beyond the last, so that no step is spent at rate 0; a fall longer than what follows the warm-up is cut to it',
    'decay_ratio 0.2 and 1-sqrt as defaults: the range and the shape that arXiv:2405.18392 recommends',
  ],
  factor: (settings, span) => {
    checkSpan('wsd', span);
    const decay = decayOf('wsd', settings);
    const wanted = Math.round(checkRatio('wsd', 'decay_ratio', Number(settings.decay_ratio)) * span.totalSteps);
    const length = Math.min(wanted, span.totalSteps - span.warmupSteps);
    const stable = span.totalSteps - length;
    return withWarmup(span, (step) => (step < stable ? 1 : decay((step - stable + 1) / (length + 1))));
  },
};
