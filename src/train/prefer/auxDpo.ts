import { headLoss } from '../../nn/head.js';
import { paramSpec } from '../../nn/param.js';
import { grad } from '../../tensor/autodiff/index.js';
import { VitroError } from '../../tensor/errors.js';
import type { Tensor } from '../../tensor/graph.js';
import { add, cast, div, maximum, mul, square } from '../../tensor/ops/elementwise.js';
import { gather } from '../../tensor/ops/indexing.js';
import { reshape, unsqueeze } from '../../tensor/ops/movement.js';
import { dimOf } from '../../tensor/ops/operand.js';
import { sum } from '../../tensor/ops/reduce.js';
import { at } from '../../tensor/ops/slicing.js';
import { type Tree, treeLeaves } from '../../tensor/tree.js';
import { batchView } from '../objective/lookAhead.js';
import type { PreferContext, PreferMethod } from './slot.js';

/** Offsets [E, 2] of the batch's pairs: each pair's own, or those of the responses that the column `response_ids` [E, 2] names. */
function offsets({ own, extra, sequences }: PreferContext): Tensor {
  const table = own.delta as Tensor;
  const found = extra.response_ids
    ? gather(reshape(table, [(dimOf(table, 0) as number) * 2]), cast(extra.response_ids, 'i32'), 0)
    : gather(table, extra.example_ids as Tensor, 0);
  return mul(found, unsqueeze(sequences.present, 1));
}

/** |sum_i delta_i d log p_ref(y_i) / d theta_ref|^2 / E^2: how far the offsets lie from those that a first step of the policy cannot express. */
function outsideNullSpace({ model, referenceParams, batch, sequences, settings }: PreferContext, delta: Tensor): Tensor {
  if (!referenceParams)
    throw new VitroError(
      'aux-dpo needs the reference as a model, not as log-probabilities in the data; set null_weight to 0 or give the model',
    );
  const hidden = model.hidden(referenceParams, batch.inputs, batchView(batch));
  const nats = headLoss(model.head(referenceParams), hidden, batch.targets, { reduction: 'none' });
  const logps = sequences.sums(nats.neg());
  const { pick, present } = sequences;
  const weighted = add(sum(mul(at(delta, 0, 1), pick(logps, 0))), sum(mul(at(delta, 1, 1), pick(logps, 1))));
  const directions = treeLeaves<Tensor>(grad(weighted, referenceParams) as Tree<Tensor>);
  const norm = directions.map((g) => sum(square(g))).reduce((a, b) => add(a, b));
  return mul(div(norm, square(maximum(sum(present), 1))), Number(settings.null_weight));
}

/**
 * AuxDPO (Gopalan, Chowdhury and Banerjee 2025, arXiv:2510.20413): an offset for every response takes up what the policy's class cannot express.
 *   L = mean -log sigmoid(r(y+) + d+ - r(y-) - d-) + null_weight |A d|^2 + amplitude_weight |d|^2
 * with A d = sum_i d_i grad log p_ref(y_i) over the batch: offsets in the null space of A do not change what the first step of RLHF would do.
 * Against dpo: the loss, the auxiliary term, and an offset for each response, which is thrown away after training: two for each pair, or where
 * responses occur in several pairs, one for each number in the column `response_ids` (chosen, rejected; below twice the number of pairs).
 */
export const auxDpo: PreferMethod = {
  id: 'aux-dpo',
  summary: 'offsets of every response take up what the policy cannot express',
  seed: 'P182',
  paper: 'arXiv:2510.20413',
  equation: 'L = mean -log sigmoid(m + d+ - d-) + null_weight |A d|^2 + amplitude_weight |d|^2',
  parent: 'dpo',
  defaults: { beta: 0.1, label_smoothing: 0, offset_scale: 1, null_weight: 1, amplitude_weight: 0.01 },
  knobs: {
    offset_scale: 'factor of the offsets in the margin, and so of their learning rate; 0 is dpo',
    null_weight: 'weight of what offsets would do to the policy',
    amplitude_weight: 'weight of their size',
  },
  limits: [{ settings: { offset_scale: 0, null_weight: 0, amplitude_weight: 0 }, tolerance: 0 }],
  provenance: 'paper',
  assumes: [
    'the soft constraint of the batch, the form for large models; gradients are those of all parameters of the reference',
    'the penalties are divided by the number of pairs (the first by its square), so that they do not grow with the batch',
    'the offsets are trained with the optimizer and the learning rate of the model',
  ],
  demo: { testbed: 'preference-bandit', baseline: 'dpo', metric: 'eval_utility', cost: 'tokens', expect: 'gain' },
  // the directions of the reference, and their own gradient
  passes: ({ null_weight }) => (null_weight === 0 ? 0 : 2),
  specs: ({ examples }) => {
    if (examples === undefined)
      throw new VitroError('aux-dpo has parameters for every pair: the loop must say how many examples there are');
    return { delta: paramSpec('vector', [examples, 2], { kind: 'zeros' }) };
  },
  wraps: ['reward'],
  reward: (context, inner) => {
    const { sequences, settings } = context;
    const scale = Number(settings.offset_scale);
    if (scale === 0) return inner();
    return add(inner(), mul(offsets(context).reshape([sequences.examples * sequences.each]), scale));
  },
  auxiliary: (context) => {
    const { sequences, settings } = context;
    const delta = offsets(context);
    const size = mul(div(sum(square(delta)), maximum(sum(sequences.present), 1)), Number(settings.amplitude_weight));
    return Number(settings.null_weight) === 0 ? size : add(size, outsideNullSpace(context, delta));
  },
};
