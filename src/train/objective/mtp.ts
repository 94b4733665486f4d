import { modelLoss } from '../../models/index.js';
import type { ParamTree } from '../../nn/param.js';
import type { Tensor } from '../../tensor/graph.js';
import { add, mul } from '../../tensor/ops/elementwise.js';
import { batchView, targetsAhead } from './lookAhead.js';
import type { ObjectiveMethod } from './slot.js';

/** Distances that heads of their own predict: 2 ... window. */
const distances = (window: number): number[] => Array.from({ length: Math.max(0, window - 1) }, (_, i) => i + 2);

/**
 * Multi-token prediction (Gloeckle et al. 2024, arXiv:2404.19737, section 2): on the shared trunk, one more layer for each distance predicts the
 * token there, through the model's own head.
 *   L = -mean_t sum_{i=1..n} log p_i(x_{t+i} | x_{<=t}),   p_i = softmax(head(layer_i(h_t)))
 * Against next-token: the heads for i = 2 ... n. They are left out of the exported model.
 */
export const mtp: ObjectiveMethod = {
  id: 'mtp',
  summary: 'a layer of its own predicts each of the next tokens',
  paper: 'arXiv:2404.19737',
  equation: 'L = -mean_t sum_{i=1..n} log p_i(x_{t+i} | x_{<=t})',
  parent: 'next-token',
  defaults: { window: 4, weight: 1 },
  knobs: { window: 'tokens that are predicted, n; 1 is next-token', weight: 'factor of the losses of the tokens after the next' },
  limits: [
    { settings: { window: 1 }, tolerance: 0 },
    { settings: { weight: 0 }, tolerance: 0 },
  ],
  provenance: 'paper',
  assumes: [
    'the extra layers stand behind the last norm of an unshortened model, and the next token is read from the model itself; the paper takes the layers of all heads from the depth of the trunk',
    'each distance is averaged over the positions that have a token there',
  ],
  specs: ({ model }, { window }) => ({
    heads: Object.fromEntries(distances(Number(window)).map((i) => [`${i}`, model.extraLayer.specs])),
  }),
  loss: ({ model, params, own, batch, hidden, settings }) => {
    const state = hidden();
    const next = modelLoss(model, params, state, batch.targets);
    const heads = own.heads as ParamTree<Tensor>;
    const further = distances(Number(settings.window)).map((i) => {
      const ahead = model.extraLayer.apply(params, heads[i] as ParamTree<Tensor>, state, batchView(batch));
      return modelLoss(model, params, ahead, targetsAhead(batch, i - 1));
    });
    const [first, ...rest] = further;
    if (!first || Number(settings.weight) === 0) return { loss: next };
    const auxiliary = rest.reduce((a, b) => add(a, b), first);
    return { loss: add(next, mul(auxiliary, Number(settings.weight))), metrics: { next_token_loss: next, auxiliary_loss: auxiliary } };
  },
  extraFlops: ({ model, batch_size, context }, { window }) =>
    distances(Number(window)).length *
    batch_size *
    context *
    (model.extraLayer.trainFlopsPerToken(context) + 6 * model.vocab_size * model.hidden_size),
};
