import { paramSpec } from '../../nn/param.js';
import { NDArray } from '../../tensor/array.js';
import type { Tensor } from '../../tensor/graph.js';
import { logSoftmax } from '../../tensor/ops/activation.js';
import { iota } from '../../tensor/ops/create.js';
import { add, cast, div, exp, floor, ge, gt, le, lt, maximum, minimum, mul, neg, where } from '../../tensor/ops/elementwise.js';
import { gather } from '../../tensor/ops/indexing.js';
import { matmul } from '../../tensor/ops/matmul.js';
import { transpose, unsqueeze } from '../../tensor/ops/movement.js';
import { constant } from '../../tensor/ops/operand.js';
import { logsumexp, sum } from '../../tensor/ops/reduce.js';
import type { RewardContext, RewardMethod } from './slot.js';

const FAR = 1e9;

/** Number of ratings. */
const ratingsOf = ({ settings }: Pick<RewardContext, 'settings'>): number =>
  (settings.rating_tokens as readonly number[]).length || Number(settings.ratings);

/** Pairs of ratings [E or 1, R, R] that count, chosen along the rows: chosen above rejected, within the region of the quality labels where there are any. */
function allowed(context: RewardContext): Tensor {
  const R = ratingsOf(context);
  const { sequences, settings, extra } = context;
  const [row, col] = [iota([1, R, 1], 1), iota([1, 1, R], 2)];
  const above = gt(row, col);
  const labels = extra.quality;
  if (settings.flooding !== true || !labels) return cast(above, 'f32');
  const Q = Number(settings.qualities);
  const [chosen, rejected] = [0, 1].map((j) => labels.slice([[], [j, j + 1]]).reshape([sequences.examples, 1, 1])) as [Tensor, Tensor];
  const known = mul(cast(ge(chosen, 0), 'f32'), cast(ge(rejected, 0), 'f32'));
  // region q of the ratings is [q R / Q, (q + 1) R / Q); the flooded region reaches from the lower one's start to the higher one's end
  const least = where(gt(known, 0), floor(div(mul(minimum(chosen, rejected), R), Q)), 0);
  const most = where(gt(known, 0), floor(div(mul(add(maximum(chosen, rejected), 1), R), Q)), R);
  const inside = (at: Tensor): Tensor => mul(cast(le(least, at), 'f32'), cast(lt(at, most), 'f32'));
  return mul(cast(above, 'f32'), mul(inside(cast(row, 'f32')), inside(cast(col, 'f32'))));
}

/**
 * Ordinal probabilistic reward model (Chen et al. 2026, arXiv:2602.12660): the reward is a distribution over ratings.
 *   P(y+ > y-) = sum_{i > j} p+(i) p-(j),   L = mean -log P(y+ > y-)
 * Region flooding tuning: where both responses have a quality label, only ratings from the start of the worse label's region to the end of the better
 * one's count in the sum, so that the mass moves there and still apart.
 * Against bradley-terry: head, loss and score (the mean rating).
 */
export const oprm: RewardMethod = {
  id: 'oprm',
  summary: 'a distribution over ratings; the better response should get the higher one',
  seed: 'P079',
  paper: 'arXiv:2602.12660',
  equation: 'L = mean -log sum_{i > j} p+(i) p-(j), within the region of the quality labels if known',
  parent: 'bradley-terry',
  defaults: { ratings: 9, rating_tokens: [], flooding: true, qualities: 3 },
  knobs: {
    ratings: 'number of ratings of a head of its own',
    rating_tokens:
      'ids of the tokens that stand for the ratings in rising order: their logits at the last token are the head, and nothing is added',
    flooding: 'false ignores quality labels',
    qualities: 'number of quality labels, 0 the worst; each stands for an equal part of the ratings',
  },
  limits: [],
  provenance: 'derived',
  assumes: [
    'the flooded region is the triangle of chosen above rejected between the start of the lower and the end of the higher region: the paper expands the rectangle of the two regions into a lower triangle',
    'without rating_tokens the head is a linear map, as small models have no digits to borrow',
    'the column `quality` holds the labels of chosen and rejected; below 0 is unknown',
  ],
  demo: { testbed: 'reward-quality', baseline: 'bradley-terry', metric: 'eval_accuracy', cost: 'tokens', expect: 'gain' },
  specs: ({ model }, settings) =>
    (settings.rating_tokens as readonly number[]).length > 0
      ? {}
      : {
          score: {
            weight: paramSpec('matrix', [model.hidden_size, Number(settings.ratings)], {
              kind: 'normal',
              std: 1 / Math.sqrt(model.hidden_size + 1),
            }),
          },
        },
  head: ({ model, params, own, last, settings }) => {
    const tokens = settings.rating_tokens as readonly number[];
    if (tokens.length === 0) return logSoftmax(matmul(last, (own.score as { readonly weight: Tensor }).weight));
    const rows = gather(model.head(params).table, constant(new NDArray('i32', [tokens.length], Int32Array.from(tokens))), 0);
    return logSoftmax(matmul(last, transpose(rows, [1, 0])));
  },
  loss: (context) => {
    const { outputs, sequences } = context;
    const { examples: E, each } = sequences;
    const R = ratingsOf(context);
    const grouped = outputs.reshape([E, each, R]);
    const [chosen, rejected] = [0, 1].map((j) => grouped.slice([[], [j, j + 1]]).reshape([E, R])) as [Tensor, Tensor];
    const joint = add(unsqueeze(chosen, 2), unsqueeze(rejected, 1));
    return neg(logsumexp(where(gt(allowed(context), 0), joint, -FAR), { axis: [1, 2] }));
  },
  auxiliary: ({ sequences }) => mul(sum(sequences.present), 0),
  score: (context) => {
    const R = ratingsOf(context);
    return sum(mul(exp(context.outputs), cast(iota([1, R], 1), 'f32').add(1)), { axis: 1 });
  },
};
