import type { Tensor } from '../../tensor/graph.js';
import { add, cast, div, eq, gt, maximum, mul, stopGradient } from '../../tensor/ops/elementwise.js';
import { matmul } from '../../tensor/ops/matmul.js';
import { squeeze } from '../../tensor/ops/movement.js';
import { sum } from '../../tensor/ops/reduce.js';
import { at } from '../../tensor/ops/slicing.js';
import { binaryLoss, stepEnds, stepSums } from './prm.js';
import type { RewardMethod } from './slot.js';

/**
 * Self-supervised process reward model (Wang et al. 2025, arXiv:2507.01951): steps are judged from the outcome of the chain alone.
 *   L = mean_t w_t BCE(s_t, y),   w_t = 1 where the model's own verdict (s_t > 1/2) agrees with the outcome y, else 0
 * Against prm: the labels are the outcome, steps whose verdict disagrees are left out, and the reward is the geometric mean of the steps.
 */
export const sprm: RewardMethod = {
  id: 'sprm',
  summary: 'judges steps, learnt from the outcomes of whole chains',
  seed: 'P327',
  paper: 'arXiv:2507.01951',
  equation: 'L = mean_t w_t BCE(s_t, y), w_t = [ (s_t > 1/2) = y ]',
  parent: 'prm',
  defaults: { aggregate: 'geometric_mean', filter: true, backbone_gradient: 1 },
  knobs: {
    filter: 'false keeps all steps, as a prm with the outcome as the label of every step',
    backbone_gradient: 'factor of the gradient that reaches the model beneath the head; the authors take 1e-4',
  },
  limits: [{ settings: { filter: false, aggregate: 'min' }, inputs: 'step labels that equal the outcome', tolerance: 1e-6 }],
  provenance: 'repo',
  assumes: [
    'the loss is divided by the number of steps that are kept',
    'the balancing of right and wrong chains by their frequency, which the code of the authors adds, is left to the data',
    'the model beneath the head learns from it in full: at this scale there is no generator to protect',
  ],
  demo: { testbed: 'reward-steps', baseline: 'prm', metric: 'eval_step_auc', cost: 'tokens', expect: 'equivalent' },
  columns: { outcome: '1 where the chain ends in the right answer, else 0' },
  head: ({ own, hidden, settings }) => {
    const share = Number(settings.backbone_gradient);
    const felt = share === 1 ? hidden : add(mul(hidden, share), mul(stopGradient(hidden), 1 - share));
    return squeeze(matmul(felt, (own.score as { readonly weight: Tensor }).weight), 2);
  },
  loss: (context) => {
    const { outputs, sequences, column, settings } = context;
    const outcome = sequences.spread(at(column('outcome'), 0, 1));
    const agrees = cast(eq(cast(gt(outputs, 0), 'f32'), outcome), 'f32');
    const kept = stopGradient(settings.filter === false ? stepEnds(context) : mul(agrees, stepEnds(context)));
    const losses = mul(binaryLoss(outputs, outcome), kept);
    const scale = div(maximum(sum(sequences.presentSequences), 1), maximum(sum(stepSums(context, kept)), 1));
    return sequences.pick(mul(stepSums(context, losses), scale), 0);
  },
};
