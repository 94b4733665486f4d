import { paramSpec } from '../../nn/param.js';
import { VitroError } from '../../tensor/errors.js';
import type { Tensor } from '../../tensor/graph.js';
import { logSigmoid, sigmoid } from '../../tensor/ops/activation.js';
import { iota } from '../../tensor/ops/create.js';
import { add, cast, div, eq, exp, ge, lt, maximum, mul, neg, sub, where } from '../../tensor/ops/elementwise.js';
import { matmul } from '../../tensor/ops/matmul.js';
import { reshape, squeeze } from '../../tensor/ops/movement.js';
import { dimOf } from '../../tensor/ops/operand.js';
import { max, sum } from '../../tensor/ops/reduce.js';
import type { RewardContext, RewardMethod } from './slot.js';

/** 1 at the last token of every step, [B, T]. */
export const stepEnds = ({ extra }: Pick<RewardContext, 'extra'>): Tensor => {
  const labels = extra.step_labels;
  if (!labels) throw new VitroError('process reward models learn from steps: encode the data with kind stepwise');
  const inside = lt(extra.sequence_ids as Tensor, dimOf(extra.ends as Tensor, 0) as number);
  return mul(cast(ge(labels, 0), 'f32'), cast(inside, 'f32'));
};

/** Binary cross-entropy [B, T] of logits [B, T] and targets in [0, 1]. */
export const binaryLoss = (logits: Tensor, target: Tensor): Tensor =>
  neg(add(mul(logSigmoid(logits), target), mul(logSigmoid(neg(logits)), sub(1, target))));

/** Sums [S] over the steps of every sequence of values [B, T]: steps need no target token, so these are not the sums of the trained positions. */
export function stepSums(context: RewardContext, values: Tensor): Tensor {
  const { sequences, extra } = context;
  const ids = extra.sequence_ids as Tensor;
  const S = sequences.examples * sequences.each;
  const N = (dimOf(ids, 0) as number) * (dimOf(ids, 1) as number);
  const member = cast(eq(reshape(ids, [1, N]), iota([S, 1], 0)), 'f32');
  return sum(mul(member, reshape(mul(values, stepEnds(context)), [1, N])), { axis: 1 });
}

/** Least value [S] of the steps of every sequence; 0 without steps. */
function stepMinimum(context: RewardContext, values: Tensor): Tensor {
  const { sequences, extra } = context;
  const ids = extra.sequence_ids as Tensor;
  const S = sequences.examples * sequences.each;
  const N = (dimOf(ids, 0) as number) * (dimOf(ids, 1) as number);
  const member = mul(cast(eq(reshape(ids, [1, N]), iota([S, 1], 0)), 'f32'), reshape(stepEnds(context), [1, N]));
  const least = neg(max(where(ge(member, 0.5), reshape(neg(values), [1, N]), -1e30), { axis: 1 }));
  return where(ge(stepSums(context, stepEnds(context)), 0.5), least, 0);
}

/** Reward [S] of a chain out of the log-probabilities [B, T] that its steps are right. */
export function chainScore(context: RewardContext): Tensor {
  const logp = logSigmoid(context.outputs);
  const count = maximum(stepSums(context, stepEnds(context)), 1);
  switch (context.settings.aggregate) {
    case 'min':
      return exp(stepMinimum(context, logp));
    case 'prod':
      return exp(stepSums(context, logp));
    case 'geometric_mean':
      return exp(div(stepSums(context, logp), count));
    case 'mean':
      return div(stepSums(context, sigmoid(context.outputs)), count);
    default:
      throw new VitroError(`aggregate must be min, prod, mean or geometric_mean, got ${String(context.settings.aggregate)}`);
  }
}

/**
 * Process reward model (Lightman et al. 2023, arXiv:2305.20050): the last token of every step says how likely the step is right.
 *   L = mean over steps of BCE(w . h_end, label)
 * Against bradley-terry: it learns from steps with labels, and its reward of a chain is put together of its steps.
 */
export const prm: RewardMethod = {
  id: 'prm',
  summary: 'judges every step of a solution',
  paper: 'arXiv:2305.20050',
  equation: 'L = mean over steps of BCE(w . h_end, label); reward = product, least or mean of the steps',
  parent: 'bradley-terry',
  defaults: { aggregate: 'min' },
  knobs: { aggregate: 'the reward of a chain: min, prod, mean or geometric_mean of the probabilities of its steps' },
  limits: [],
  provenance: 'paper',
  assumes: [
    'one output with a logistic loss instead of two classes',
    'every step of the batch counts alike, whatever the length of its chain',
  ],
  data: 'steps',
  specs: ({ model }) => ({
    score: { weight: paramSpec('matrix', [model.hidden_size, 1], { kind: 'normal', std: 1 / Math.sqrt(model.hidden_size + 1) }) },
  }),
  head: ({ own, hidden }) => squeeze(matmul(hidden, (own.score as { readonly weight: Tensor }).weight), 2),
  loss: (context) => {
    const { outputs, extra, sequences } = context;
    const losses = binaryLoss(outputs, maximum(extra.step_labels as Tensor, 0));
    const steps = stepSums(context, stepEnds(context));
    // so that the mean over examples is the mean over steps
    const scale = div(maximum(sum(sequences.presentSequences), 1), maximum(sum(steps), 1));
    return sequences.pick(mul(stepSums(context, losses), scale), 0);
  },
  auxiliary: ({ sequences }) => mul(sum(sequences.present), 0),
  score: chainScore,
};
