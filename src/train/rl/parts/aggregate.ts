import type { Settings } from '../../../contracts/index.js';
import { VitroError } from '../../../tensor/errors.js';
import type { Aggregate } from '../contract.js';

/**
 * How token losses become one number, by verl's names. Weights are made on the host from the lengths of the whole minibatch, so neither packing nor
 * gradient accumulation changes the loss. Legend: l_i tokens of sample i, N samples that train.
 */

/** Weight of a token for each sample, given lengths; samples without tokens get 0. */
const weigh = (lengths: Float64Array, f: (l: number) => number): Float64Array => lengths.map((l) => (l > 0 ? f(l) : 0));
const total = (lengths: Float64Array): number =>
  Math.max(
    1,
    lengths.reduce((a, b) => a + b, 0),
  );
const present = (lengths: Float64Array): number => Math.max(1, lengths.length);

/** 1 / sum_i l_i: every token alike. */
export const tokenMeanAggregate: Aggregate = {
  name: 'token-mean',
  weights: (lengths) => weigh(lengths, () => 1 / total(lengths)),
};

/** 1 / (N l_i): every sample alike. */
export const seqMeanTokenMean: Aggregate = {
  name: 'seq-mean-token-mean',
  weights: (lengths) => weigh(lengths, (l) => 1 / (present(lengths) * l)),
};

/** 1 / N: mean over samples of sums over tokens. */
export const seqMeanTokenSum: Aggregate = {
  name: 'seq-mean-token-sum',
  weights: (lengths) => weigh(lengths, () => 1 / present(lengths)),
};

/** 1 / (N max_completion_length): sums, scaled by a constant. */
export const seqMeanTokenSumNorm: Aggregate = {
  name: 'seq-mean-token-sum-norm',
  weights: (lengths, settings: Settings) => {
    const most = Number(settings.max_completion_length);
    if (!(most > 0)) throw new VitroError(`seq-mean-token-sum-norm: max_completion_length must be positive, got ${most}`);
    return weigh(lengths, () => 1 / (present(lengths) * most));
  },
};

/** The aggregates by the values of verl's loss_agg_mode. */
export const aggregates: Readonly<Record<string, Aggregate>> = Object.fromEntries(
  [tokenMeanAggregate, seqMeanTokenMean, seqMeanTokenSum, seqMeanTokenSumNorm].map((a) => [a.name, a]),
);
