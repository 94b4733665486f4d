import type { Settings } from '../../contracts/index.js';
import { VitroError } from '../../tensor/errors.js';
import { constant } from './constant.js';
import { checkRatio, decayOf } from './decay.js';
import type { CheckpointMerge, ScheduleMethod, ScheduleSpan } from './slot.js';
import { checkSpan } from './warmup.js';

/** Checkpoints of the merge as numbers of finished steps: `count` of them, evenly over the last round(merge_ratio total) steps, the last at the end. */
function checkpointSteps(settings: Settings, { totalSteps, warmupSteps }: ScheduleSpan): number[] {
  const count = Number(settings.num_checkpoints);
  if (!(Number.isInteger(count) && count >= 1))
    throw new VitroError(`wsm: num_checkpoints must be a whole number of at least 1, got ${count}`);
  const wanted = Math.round(checkRatio('wsm', 'merge_ratio', Number(settings.merge_ratio)) * totalSteps);
  const window = Math.min(wanted, totalSteps - warmupSteps);
  const intervals = Math.min(count - 1, window);
  if (intervals === 0) return [totalSteps];
  return Array.from({ length: intervals + 1 }, (_, j) => totalSteps - window + Math.round((j * window) / intervals));
}

/**
 * Warmup-stable and merge (Tian et al., "WSM: Decay-Free Learning Rate Schedule via Checkpoint Merging", arXiv:2507.17634): the rate stays at
 * its peak, and the weights of the end are sum_j c_j theta_j over checkpoints theta_0 .. theta_{N-1}. A gradient step between theta_{i-1} and
 * theta_i is in theta_i and all later ones, so the merge holds it times w_i = sum_{j >= i} c_j: a decay of the rate, applied afterwards. For a
 * wanted decay w_1 >= ... >= w_{N-1} with w_0 = 1 and w_N = 0:
 *   c_j = w_j - w_{j+1},   w_j = r + (1 - r) shape(j / N)
 * (`linear` gives the plain mean). Against wso: the last checkpoints are merged. With a checkpoint at every step the implied decay is wsd's.
 */
export const wsm: ScheduleMethod = {
  id: 'wsm',
  summary: 'stay at the peak and average the last checkpoints with the weights of a decay',
  seed: 'P799',
  paper: 'arXiv:2507.17634',
  equation: 'theta = sum_j c_j theta_j, c_j = w_j - w_(j+1), w_j = r + (1 - r) shape(j / N), w_N = 0',
  parent: 'wso',
  defaults: { merge_ratio: 0.2, num_checkpoints: 16, decay_type: '1-sqrt', min_lr_ratio: 0 },
  knobs: {
    merge_ratio: 'share of all steps over which the merged checkpoints lie',
    num_checkpoints: 'number of checkpoints in the merge, the last weights included (1 merges nothing)',
    decay_type: 'the decay that the merge stands for: linear | cosine | 1-sqrt',
    min_lr_ratio: 'factor that the implied decay would reach one block after the last',
  },
  limits: [
    { settings: { num_checkpoints: 1 }, tolerance: 0 },
    { settings: { merge_ratio: 0 }, tolerance: 0 },
  ],
  provenance: 'paper',
  assumes: [
    'the equality with a decay is of first order: it takes the gradients as given (the paper says so too)',
    'progress j / N, so that the linear decay is the uniform mean; merge_ratio 0.2 and 16 checkpoints as defaults (the paper merges by tokens at its own scale)',
    'the paper merges while it also changes the data mixture; here the data stays',
  ],
  demo: { testbed: 'shakespeare', baseline: 'wsd', metric: 'val/bpb', cost: 'tokens', expect: 'gain' },
  factor: constant.factor,
  merge: (settings, span): CheckpointMerge => {
    checkSpan('wsm', span);
    const decay = decayOf('wsm', settings);
    const steps = checkpointSteps(settings, span);
    const implied = (j: number): number => (j === steps.length ? 0 : decay(j / steps.length));
    return { weights: new Map(steps.map((step, j) => [step, implied(j) - implied(j + 1)])) };
  },
};
