import { paramSpec } from '../../nn/param.js';
import type { Tensor } from '../../tensor/graph.js';
import { logSigmoid } from '../../tensor/ops/activation.js';
import { add, div, maximum, mul, neg, square, sub } from '../../tensor/ops/elementwise.js';
import { matmul } from '../../tensor/ops/matmul.js';
import { sum } from '../../tensor/ops/reduce.js';
import { at } from '../../tensor/ops/slicing.js';
import type { RewardMethod } from './slot.js';

/**
 * A scalar reward model under the Bradley-Terry model of preferences (Ouyang et al. 2022, arXiv:2203.02155, equation 1). The root of the slot.
 *   r(y) = w . h_last,   L = mean -log sigmoid(r(y+) - r(y-) - margin) + center_rewards_coefficient mean (r(y+) + r(y-))^2
 */
export const bradleyTerry: RewardMethod = {
  id: 'bradley-terry',
  summary: 'a scalar head, logistic loss of the difference of rewards',
  paper: 'arXiv:2203.02155',
  equation: 'L = mean -log sigmoid(r(y+) - r(y-)), r(y) = w . h_last',
  defaults: { center_rewards_coefficient: 0 },
  knobs: { center_rewards_coefficient: 'weight of the squared sum of the two rewards, which keeps them around 0' },
  limits: [],
  provenance: 'paper',
  assumes: [
    'the head has no bias, and starts normal with standard deviation 1 / sqrt(D + 1)',
    'a column `margin`, where there is one, is taken off the difference',
  ],
  data: 'pairs',
  specs: ({ model }) => ({
    score: { weight: paramSpec('matrix', [model.hidden_size, 1], { kind: 'normal', std: 1 / Math.sqrt(model.hidden_size + 1) }) },
  }),
  head: ({ own, last }) => matmul(last, (own.score as { readonly weight: Tensor }).weight),
  loss: ({ scores, sequences, extra }) => {
    const { pick } = sequences;
    const difference = sub(pick(scores, 0), pick(scores, 1));
    return neg(logSigmoid(extra.margin ? sub(difference, at(extra.margin, 0, 1)) : difference));
  },
  auxiliary: ({ scores, sequences, settings }) => {
    const { pick, present } = sequences;
    const centre = sum(mul(square(add(pick(scores, 0), pick(scores, 1))), present));
    return mul(div(centre, maximum(sum(present), 1)), Number(settings.center_rewards_coefficient));
  },
  score: ({ outputs }) => at(outputs, 0, 1),
};
