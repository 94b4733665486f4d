import { modelLoss } from '../../models/index.js';
import { type ParamTree, paramSpec } from '../../nn/param.js';
import { VitroError } from '../../tensor/errors.js';
import type { Tensor } from '../../tensor/graph.js';
import { sigmoid } from '../../tensor/ops/activation.js';
import { dimValue, ones, zeros } from '../../tensor/ops/create.js';
import { customVjp } from '../../tensor/ops/custom.js';
import { abs, add, and, cast, div, eq, exp, ge, gt, le, log, lt, maximum, mul, neg, sub, where } from '../../tensor/ops/elementwise.js';
import { embedding, scatterAlong } from '../../tensor/ops/indexing.js';
import { matmul } from '../../tensor/ops/matmul.js';
import { squeeze, transpose, unsqueeze } from '../../tensor/ops/movement.js';
import { dimOf } from '../../tensor/ops/operand.js';
import { any, max, sum } from '../../tensor/ops/reduce.js';
import { slice } from '../../tensor/ops/slicing.js';
import { batchView, meanOver, rowsOf, squareIndices, timeOf } from './lookAhead.js';
import type { BatchTensors, ObjectiveMethod } from './slot.js';

/**
 * The bags of tokens as a bool [B, T, T]: entry (t, s) says that the target of position s is among the `window` tokens from t's own target on,
 * that target left out, and that it comes there for the first time. Rows sum to the number of different tokens in the bag.
 */
export function futureBag(batch: BatchTensors, window: number): Tensor {
  const { targets, segment_ids } = batch;
  const { row, column } = squareIndices(timeOf(batch));
  const counts = ge(targets, 0);
  const [counts_BT1, counts_B1T] = [unsqueeze(counts, 2), unsqueeze(counts, 1)];
  const sameToken = and(eq(unsqueeze(targets, 2), unsqueeze(targets, 1)), counts_B1T);
  const previous_B1T = unsqueeze(max(where(and(sameToken, lt(column, row)), column, -1), { axis: 2 }), 1);
  const inWindow = and(gt(column, row), lt(column, add(row, window)));
  const bag = and(and(inWindow, le(previous_B1T, row)), and(counts_BT1, counts_B1T));
  return segment_ids ? and(bag, eq(unsqueeze(segment_ids, 2), unsqueeze(segment_ids, 1))) : bag;
}

/** log(1 + exp(z)) in few passes over the vocabulary: absolute error below 1e-7, exact gradient. */
const softplus = customVjp(
  (z) => ({ out: add(maximum(z as Tensor, 0), log(add(exp(neg(abs(z as Tensor))), 1))), saved: [z as Tensor] }),
  ([g], [z]) => [mul(g as Tensor, sigmoid(z as Tensor))],
);

/** Smoothed inverse frequency of every token [V] over the rows of the batch. */
function inverseFrequency({ targets }: BatchTensors, vocabSize: number): Tensor {
  const rows = dimOf(targets, 0);
  const ids = where(ge(targets, 0), targets, vocabSize);
  const seen = scatterAlong(zeros([rows, vocabSize + 1]), ids, 1, { axis: 1, mode: 'add' });
  const rowsWith = sum(cast(gt(slice(seen, [[], [0, vocabSize]]), 0), 'f32'), { axis: 0 });
  return add(log(div(add(dimValue(rows, 'f32'), 1), add(rowsWith, 1))), 1);
}

function tokenWeights(kind: unknown, batch: BatchTensors, vocabSize: number): Tensor {
  if (kind === 'uniform') return ones([vocabSize]);
  if (kind === 'idf') return inverseFrequency(batch, vocabSize);
  throw new VitroError(`fsp: token_weights must be uniform or idf, got ${String(kind)}`);
}

/**
 * Future summary prediction, bag-of-words form (Mahajan et al. 2025, arXiv:2510.14751, equations 7, 9 and 10): a head of its own predicts at every
 * position which tokens come later, whatever their order.
 *   L = L_next + weight mean_t l_t,   a_i = [i in {x_{t+2} ... x_{t+window}}]
 *   l_t = -sum_i w_i (a_i log s(z_i) + (1 - a_i) log(1 - s(z_i))) / sum_i w_i,   s = sigmoid,   z = table layer(h_t) + bias
 * Against next-token: the second term. As log s(z) - log(1 - s(z)) = z, it is sum_i w_i softplus(z_i) - sum_{i in bag} w_i z_i, so the
 * bags are needed as [B, T, T] only.
 */
export const fsp: ObjectiveMethod = {
  id: 'fsp',
  summary: 'a head of its own predicts the bag of later tokens',
  seed: 'P737',
  paper: 'arXiv:2510.14751',
  equation: 'L = L_next + weight mean_t BCE_w(head(h_t), multi-hot of x_{t+2} ... x_{t+window})',
  parent: 'next-token',
  defaults: { window: 100, weight: 1, token_weights: 'uniform' },
  knobs: {
    window: 'distance of the last token of the bag; 1 is next-token',
    weight:
      'factor of the cross-entropy of the bag, which is a mean over the vocabulary; the number of tokens makes it a sum, as equation 10 is written',
    token_weights: 'uniform, or idf: smoothed inverse frequency over the rows of the batch',
  },
  limits: [
    { settings: { weight: 0 }, tolerance: 0 },
    { settings: { window: 1 }, tolerance: 0 },
  ],
  provenance: 'paper',
  assumes: [
    'the cross-entropy is divided by the sum of the token weights: as a plain sum over the vocabulary it would be hundreds of times the other term at the start',
    'the head is one more layer of the model behind its last norm, with an unembedding and a bias of its own',
    'a bag ends with the row or the document; a position without any later token does not count',
    'uniform token weights by default: the paper names tf-idf as an example and found no consistent benefit of it; idf here knows only the batch',
    'the variant whose summary is the hidden state of a frozen right-to-left model is left out: an objective sees one model',
  ],
  demo: {
    testbed: 'path-star',
    baseline: 'next-token',
    metric: 'val/exact_match',
    cost: 'tokens',
    expect: 'gain',
  },
  specs: ({ model }) => ({
    head: model.extraLayer.specs,
    unembed: {
      weight: paramSpec('embedding', [model.vocab_size, model.hidden_size], { kind: 'normal', std: 0.02 }),
      bias: paramSpec('vector', [model.vocab_size], { kind: 'zeros' }),
    },
  }),
  loss: ({ model, params, own, batch, hidden, settings }) => {
    const next = modelLoss(model, params, hidden(), batch.targets);
    const [window, weight] = [Number(settings.window), Number(settings.weight)];
    if (weight === 0 || window < 2) return { loss: next };
    const { weight: table, bias } = own.unembed as { readonly weight: Tensor; readonly bias: Tensor };
    const state = model.extraLayer.apply(params, own.head as ParamTree<Tensor>, hidden(), batchView(batch));
    const weights_V = tokenWeights(settings.token_weights, batch, model.vocab_size);
    const bag = futureBag(batch, window);
    const bag_BTT = cast(bag, 'f32');
    const ids = maximum(batch.targets, 0);
    const weight_BT1 = unsqueeze(embedding(ids, weights_V), 2);
    const logits_BTV = add(matmul(state, transpose(table, [1, 0])), bias);
    const all = squeeze(matmul(softplus(logits_BTV), unsqueeze(weights_V, 1)), 2);
    const sums_BTD = matmul(bag_BTT, mul(rowsOf(table, batch.targets), weight_BT1));
    const biases_BT = squeeze(matmul(bag_BTT, mul(unsqueeze(embedding(ids, bias), 2), weight_BT1)), 2);
    const present = add(sum(mul(state, sums_BTD), { axis: 2 }), biases_BT);
    const auxiliary = meanOver(div(sub(all, present), sum(weights_V)), any(bag, { axis: 2 }));
    return { loss: add(next, mul(auxiliary, weight)), metrics: { next_token_loss: next, auxiliary_loss: auxiliary } };
  },
  extraFlops: ({ model, batch_size, context }) =>
    batch_size *
    context *
    (model.extraLayer.trainFlopsPerToken(context) + 6 * model.vocab_size * model.hidden_size + 4 * context * model.hidden_size),
};
