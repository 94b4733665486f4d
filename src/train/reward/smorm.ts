import { paramSpec } from '../../nn/param.js';
import { VitroError } from '../../tensor/errors.js';
import type { Tensor } from '../../tensor/graph.js';
import { logSigmoid } from '../../tensor/ops/activation.js';
import { add, cast, div, ge, maximum, mul, neg, square, sub, where } from '../../tensor/ops/elementwise.js';
import { matmul } from '../../tensor/ops/matmul.js';
import { reshape } from '../../tensor/ops/movement.js';
import { mean, sum } from '../../tensor/ops/reduce.js';
import { at, concat, slice } from '../../tensor/ops/slicing.js';
import type { RewardContext, RewardMethod } from './slot.js';

/** Below this, a score of an attribute is missing. */
const MISSING = -1e6;

const attributeOutputs = ({ outputs }: RewardContext): Tensor => slice(outputs, [[], [1]]);

/**
 * Joint single- and multi-objective reward model (Zhang et al. 2025, arXiv:2507.07375): two heads on one embedding.
 *   L = mean -log sigmoid(w_s . (h+ - h-)) + regression_weight mean |W_m h - a|^2 over the attributes that are known
 * Against bradley-terry: a second head with a regression on scores of attributes. The column `attributes` holds those of the chosen and then of the
 * rejected response; values below -1e6 are missing, so that few pairs may have them.
 */
export const smorm: RewardMethod = {
  id: 'smorm',
  summary: 'preference head and attribute head on one embedding',
  seed: 'P017',
  paper: 'arXiv:2507.07375',
  equation: 'L = L_BT(w_s) + regression_weight mean |W_m h - a|^2',
  parent: 'bradley-terry',
  defaults: { center_rewards_coefficient: 0, attributes: 4, regression_weight: 1, use: 'F' },
  knobs: {
    attributes: 'number of attributes',
    regression_weight: 'weight of the regression; 0 is bradley-terry',
    use: 'the score after training: F the preference head, L the mean of the attributes, M the mean of both',
  },
  limits: [{ settings: { regression_weight: 0 }, tolerance: 0 }],
  provenance: 'paper',
  assumes: ['the squared error is a mean over the known scores of the batch', 'a missing score is any number below -1e6'],
  demo: { testbed: 'reward-length-cue', baseline: 'bradley-terry', metric: 'eval_best_of_n', cost: 'tokens', expect: 'gain' },
  columns: { attributes: 'scores of the attributes of the chosen response, then of the rejected one' },
  wraps: ['head', 'auxiliary'],
  specs: ({ model }, settings) => {
    const std = 1 / Math.sqrt(model.hidden_size + 1);
    return {
      score: { weight: paramSpec('matrix', [model.hidden_size, 1], { kind: 'normal', std }) },
      attributes: { weight: paramSpec('matrix', [model.hidden_size, Number(settings.attributes)], { kind: 'normal', std }) },
    };
  },
  head: ({ own, last }, inner) => concat([inner(), matmul(last, (own.attributes as { readonly weight: Tensor }).weight)], 1),
  auxiliary: (context, inner) => {
    const { column, sequences, settings } = context;
    const weight = Number(settings.regression_weight);
    if (weight === 0) return inner();
    const K = Number(settings.attributes);
    const S = sequences.examples * sequences.each;
    const wanted = column('attributes');
    if (wanted.shape[1] !== sequences.each * K)
      throw new VitroError(
        `smorm: ${K} attributes of ${sequences.each} responses are ${sequences.each * K} numbers, the column has ${wanted.shape[1]}`,
      );
    const known = reshape(wanted, [S, K]);
    const counts = mul(cast(ge(known, MISSING), 'f32'), reshape(sequences.presentSequences, [S, 1]));
    const error = square(sub(attributeOutputs(context), where(ge(known, MISSING), known, 0)));
    return add(inner(), mul(div(sum(mul(error, counts)), maximum(sum(counts), 1)), weight));
  },
  loss: ({ outputs, sequences, extra }) => {
    const { pick } = sequences;
    const preference = at(outputs, 0, 1);
    const difference = sub(pick(preference, 0), pick(preference, 1));
    return neg(logSigmoid(extra.margin ? sub(difference, at(extra.margin, 0, 1)) : difference));
  },
  score: (context) => {
    const { outputs, settings } = context;
    const [preference, attributes] = [at(outputs, 0, 1), mean(attributeOutputs(context), { axis: 1 })];
    if (settings.use === 'F') return preference;
    if (settings.use === 'L') return attributes;
    if (settings.use === 'M') return mul(add(preference, attributes), 0.5);
    throw new VitroError(`smorm: use must be F, L or M, got ${String(settings.use)}`);
  },
};
