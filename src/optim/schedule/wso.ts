import { constant } from './constant.js';
import type { ScheduleMethod } from './slot.js';

/**
 * Warmup-stable-only (Yano et al., arXiv:2603.16127): pretraining ends at the peak rate; the claim is that the flatter minimum adapts better in
 * later fine-tuning although its own loss is higher.
 * Against wsd: no cool-down.
 */
export const wso: ScheduleMethod = {
  id: 'wso',
  summary: 'warm up and stay at the peak: wsd without its cool-down, for models that are fine-tuned later',
  seed: 'P767',
  paper: 'arXiv:2603.16127',
  equation: 'f(s) = 1 after the warm-up',
  parent: 'wsd',
  defaults: {},
  limits: [{ settings: { decay_ratio: 0 }, tolerance: 0 }],
  provenance: 'paper',
  assumes: ['fine-tuning of the demonstration is continued training on the text in capitals; the paper fine-tunes on instructions'],
  demo: { testbed: 'pretrain-then-finetune', baseline: 'wsd', metric: 'val/bpb', cost: 'tokens', expect: 'gain' },
  factor: constant.factor,
};
