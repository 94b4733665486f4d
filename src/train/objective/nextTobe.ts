import { modelLoss } from '../../models/index.js';
import { NDArray } from '../../tensor/array.js';
import type { Tensor } from '../../tensor/graph.js';
import { softmax } from '../../tensor/ops/activation.js';
import { add, and, cast, div, exp, ge, lt, maximum, mul, stopGradient, sub, where } from '../../tensor/ops/elementwise.js';
import { gather } from '../../tensor/ops/indexing.js';
import { matmul } from '../../tensor/ops/matmul.js';
import { reshape, squeeze, transpose, unsqueeze } from '../../tensor/ops/movement.js';
import { constant, dimOf } from '../../tensor/ops/operand.js';
import { logsumexp, sum } from '../../tensor/ops/reduce.js';
import { pad, slice, stack } from '../../tensor/ops/slicing.js';
import { band, logitsOf, meanOver, rowsOf, targetsAhead, timeOf } from './lookAhead.js';
import type { BatchTensors, ObjectiveMethod } from './slot.js';

/** Below every logit, finite so that no difference of two is NaN. */
const NOTHING = -1e9;

/** f32 [k, k] on the host. */
const square = (k: number, f: (i: number, j: number) => number): NDArray =>
  new NDArray(
    'f32',
    [k, k],
    Float32Array.from({ length: k * k }, (_, n) => f(Math.floor(n / k), n % k)),
  );

/** Divides each column of [..., k, k] by its sum; empty columns stay 0. */
function normaliseColumns(x: Tensor): Tensor {
  const total = sum(x, { axis: -2, keepDims: true });
  return div(x, where(ge(0, total), 1, total));
}

/** Dot products x_{t+i} . x_{t+j} of the tokens in the bag of each position, [B, T, k, k], from rows [B, T, D] of the targets. */
function similarities(rows: Tensor, time: number, k: number): Tensor {
  const ahead_BTk = band(matmul(rows, transpose(rows, [0, 2, 1])), k);
  const padded = pad(ahead_BTk, [null, [0, k]]);
  const from = stack(
    Array.from({ length: k }, (_, i) => slice(padded, [[], [i, i + time]])),
    2,
  );
  // entry (i, j) is the product of token min(i, j) with the one |i - j| further on
  const entry = Int32Array.from({ length: k * k }, (_, n) => {
    const [i, j] = [Math.floor(n / k), n % k];
    return Math.min(i, j) * k + Math.abs(i - j);
  });
  const flat = reshape(from, [dimOf(rows, 0), time, k * k]);
  return reshape(gather(flat, constant(new NDArray('i32', [k * k], entry)), 2), [dimOf(rows, 0), time, k, k]);
}

/**
 * beta = (I - (1 - restart) W)^-1 e_0 [B, T, k] for stochastic columns W, by the series of powers in doublings. It is cut where the rest is
 * below a millionth.
 */
export function walkWithRestart(W: Tensor, restart: number): Tensor {
  const k = dimOf(W, -1) as number;
  const stay = 1 - restart;
  const terms = stay === 0 ? 1 : Math.log(1e-6) / Math.log(stay);
  const start = constant(
    new NDArray(
      'f32',
      [k, 1],
      Float32Array.from({ length: k }, (_, i) => (i === 0 ? 1 : 0)),
    ),
  );
  let total = add(start, mul(slice(W, { [-1]: [0, 1] }), 0));
  let power = mul(W, stay);
  for (let summed = 1; summed < terms; summed *= 2) {
    total = add(total, matmul(power, total));
    power = matmul(power, power);
  }
  return squeeze(total, -1);
}

/** How much each token of the bags matters by nearness in time and in meaning, [B, T, k]; without a gradient. */
function relevance(batch: BatchTensors, table: Tensor, valid_BTk: Tensor, bandwidth: number, restart: number): Tensor {
  const k = dimOf(valid_BTk, 2) as number;
  const rows = stopGradient(rowsOf(table, batch.targets));
  const both = and(unsqueeze(valid_BTk, 3), unsqueeze(valid_BTk, 2));
  const is = cast(both, 'f32');
  const meaning = softmax(where(both, similarities(rows, timeOf(batch), k), NOTHING), -2);
  const near = constant(square(k, (i, j) => Math.exp(-((i - j) ** 2) / (2 * bandwidth ** 2))));
  const W = matmul(normaliseColumns(mul(is, near)), mul(is, meaning));
  return walkWithRestart(W, restart);
}

/**
 * Next token-bag exploitation (Liu et al. 2026, Next-ToBE, ICLR 2026, openreview T8IJojfaOh): the same head that predicts the next token also
 * ranks the tokens after it.
 *   L = -mean_t ( log p(x_{t+1}) + weight sum_{j=2..k} w_j log( p(x_{t+j}) / sum_{i=2..k} p(x_{t+i}) ) ),   p = p(. | x_{<=t})
 *   w_j ~ p(x_{t+j})^gamma beta_j,   beta = (I - (1 - restart) W_time W_meaning)^-1 e_1,   sum_j w_j = 1
 *   W_time ~ exp(-(i - j)^2 / 2 bandwidth^2),   W_meaning ~ exp(x_{t+i} . x_{t+j}),   columns sum to 1
 * Against next-token: the second term. The weights carry no gradient. Only logits of tokens in the bag are needed: p(x_{t+j}) is their
 * difference to the normaliser that the next token's loss gives.
 */
export const nextTobe: ObjectiveMethod = {
  id: 'next-tobe',
  summary: 'the head also ranks the tokens after the next by time, meaning and its own expectation',
  seed: 'P765',
  paper: 'openreview.net/forum?id=T8IJojfaOh',
  equation: 'L = -mean_t (log p(x_{t+1}) + weight sum_{j=2..window} w_j log(p(x_{t+j}) / sum_{i=2..window} p(x_{t+i})))',
  parent: 'next-token',
  defaults: { window: 10, weight: 0.05, gamma: 0.1, epsilon: 1e-8, bandwidth: 2, restart: 0.3 },
  knobs: {
    window: 'tokens in the bag, k, the next one among them',
    weight: 'factor of the second term',
    gamma: "exponent of the model's own probability in the weights; 0 leaves it out",
    epsilon: 'tokens less probable than this get no weight',
    bandwidth: 'width in tokens of the nearness in time',
    restart: 'chance that the random walk over the bag returns to the next token; 1 is next-token',
  },
  limits: [
    { settings: { weight: 0 }, tolerance: 0 },
    { settings: { window: 1 }, tolerance: 0 },
    // a single look-ahead token has probability 1 among the look-ahead tokens
    { settings: { window: 2 }, tolerance: 1e-6 },
    { settings: { restart: 1 }, tolerance: 1e-6 },
  ],
  provenance: 'paper',
  assumes: [
    'read from a summary of the paper that quotes its equations, not from the paper itself',
    'the look-ahead tokens are normalised among themselves, without the next token',
    'the entries of the time matrix are Gaussian in the distance of two tokens of the bag; both matrices have their diagonal and are normalised by columns before they are multiplied',
    "meaning is the dot product of rows of the head's table, which is the embedding table where the two are tied",
    'the bag ends with the row or the document; tokens that do not count are no part of it',
  ],
  demo: {
    testbed: 'path-star',
    baseline: 'next-token',
    metric: 'val/exact_match',
    cost: 'tokens',
    expect: 'gain',
  },
  loss: ({ model, params, batch, hidden, settings }) => {
    const number = (name: string): number => Number(settings[name]);
    const [k, weight] = [number('window'), number('weight')];
    const state = hidden();
    const next = modelLoss(model, params, state, batch.targets);
    if (weight === 0 || k < 2) return { loss: next };

    const head = model.head(params);
    const counts = ge(batch.targets, 0);
    const valid_BTk = ge(
      stack(
        Array.from({ length: k }, (_, j) => targetsAhead(batch, j)),
        2,
      ),
      0,
    );
    const logits_BTk = band(logitsOf(head, state, batch.targets), k);
    const losses_BT = modelLoss(model, params, state, batch.targets, { reduction: 'none' });
    const normaliser_BT1 = add(unsqueeze(losses_BT, 2), slice(logits_BTk, [[], [], [0, 1]]));
    const logp_BTk = stopGradient(sub(logits_BTk, normaliser_BT1));
    const expected = where(lt(logp_BTk, Math.log(number('epsilon'))), 0, exp(mul(logp_BTk, number('gamma'))));
    const beta = stopGradient(relevance(batch, head.table, valid_BTk, number('bandwidth'), number('restart')));

    const after = (x: Tensor): Tensor => slice(x, [[], [], [1]]);
    const valid = after(valid_BTk);
    const raw = where(valid, after(mul(expected, beta)), 0);
    const w = div(raw, maximum(sum(raw, { axis: 2, keepDims: true }), 1e-20));
    const logits = where(valid, after(logits_BTk), NOTHING);
    const ranked = where(valid, sub(logits, logsumexp(logits, { axis: 2, keepDims: true })), 0);
    const auxiliary = meanOver(sum(mul(w, mul(ranked, -1)), { axis: 2 }), counts);
    return { loss: add(next, mul(auxiliary, weight)), metrics: { next_token_loss: next, auxiliary_loss: auxiliary } };
  },
  extraFlops: ({ model, batch_size, context }, { window, weight }) =>
    Number(weight) === 0 || Number(window) < 2 ? 0 : batch_size * context * (8 * context * model.hidden_size + 12 * Number(window) ** 3),
};
