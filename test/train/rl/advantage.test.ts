import { describe, expect, it } from 'vitest';
import type { Settings } from '../../../src/contracts/index.js';
import type { RolloutBatch } from '../../../src/train/rl/batch.js';
import type { Advantage } from '../../../src/train/rl/contract.js';
import {
  batchNormReturns,
  gae,
  greedyBaseline,
  groupMean,
  groupNorm,
  leaveOneOut,
  lengthWeightedBaseline,
  rawReturn,
} from '../../../src/train/rl/parts/advantage.js';
import { batchOf, hostOf, mixedBatch, recipeOf } from './support.js';

const compute = (part: Advantage, batch: RolloutBatch, settings: Settings = {}): number[] =>
  Array.from(part.compute(batch, hostOf(recipeOf('reinforce'), [], { ...part.defaults, ...settings }).context('advantage', part)));

/** Samples of the mixed batch, groups together: what the loops below go over. */
const rows = [
  { g: 'a', r: 1, l: 3 },
  { g: 'a', r: 0, l: 3 },
  { g: 'a', r: 0.25, l: 1 },
  { g: 'b', r: 0.5, l: 2 },
  { g: 'b', r: 0.5, l: 4 },
  { g: 'c', r: -1, l: 6 },
  { g: 'c', r: 2, l: 2 },
];
const peers = (g: string) => rows.filter((x) => x.g === g);
const mean = (x: readonly number[]): number => x.reduce((a, b) => a + b, 0) / x.length;

function near(got: readonly number[], want: readonly number[]): void {
  expect(got.length).toBe(want.length);
  for (const [i, w] of want.entries()) expect(got[i]).toBeCloseTo(w, 10);
}

describe('group baselines against loops over samples', () => {
  it('the batch keeps groups together and counts the tokens that the policy chose', () => {
    const batch = mixedBatch();
    expect([...batch.group_offsets]).toEqual([0, 3, 5, 7]);
    expect([...batch.rewards]).toEqual(rows.map((x) => x.r));
    expect([...batch.lengths]).toEqual(rows.map((x) => x.l));
    expect(batch.tokens).toBe(3 + 5 + 1 + 2 + 4 + 6 + 2);
  });

  it('group-norm, by group, by batch and unscaled', () => {
    const std = (x: readonly number[]): number => Math.sqrt(x.reduce((a, v) => a + (v - mean(x)) ** 2, 0) / (x.length - 1));
    const all = rows.map((x) => x.r);
    const of = (g: string) => peers(g).map((x) => x.r);
    near(
      compute(groupNorm, mixedBatch()),
      rows.map(({ g, r }) => (g === 'b' ? 0 : (r - mean(of(g))) / (std(of(g)) + 1e-4))),
    );
    near(
      compute(groupNorm, mixedBatch(), { scale_rewards: 'batch' }),
      rows.map(({ g, r }) => (r - mean(of(g))) / (std(all) + 1e-4)),
    );
    near(
      compute(groupNorm, mixedBatch(), { scale_rewards: 'none' }),
      rows.map(({ g, r }) => r - mean(of(g))),
    );
  });

  it('group-norm is exactly 0 where rewards are equal or stand alone', () => {
    const equal = batchOf([0.1, 0.1, 0.1].map((reward) => ({ group: 'a', reward, length: 2 })));
    expect(compute(groupNorm, equal)).toEqual([0, 0, 0]);
    expect(compute(groupNorm, batchOf([{ group: 'a', reward: 3, length: 1 }]))).toEqual([0]);
  });

  it('leave-one-out', () => {
    near(
      compute(leaveOneOut, mixedBatch()),
      rows.map(
        (x) =>
          x.r -
          mean(
            peers(x.g)
              .filter((y) => y !== x)
              .map((y) => y.r),
          ),
      ),
    );
  });

  it('group-mean and the length-weighted baseline', () => {
    near(
      compute(groupMean, mixedBatch()),
      rows.map((x) => x.r - mean(peers(x.g).map((y) => y.r))),
    );
    near(
      compute(lengthWeightedBaseline, mixedBatch()),
      rows.map((x) => {
        let [top, bottom] = [0, 0];
        for (const y of peers(x.g)) {
          top += y.l * y.r;
          bottom += y.l;
        }
        return x.r - top / bottom;
      }),
    );
  });

  it('the length-weighted baseline has the least variance where gradients of tokens are independent', () => {
    // one group seen as a distribution: variance of sum_t g_t (r - b) with independent unit g_t is l (r - b)^2
    const spread = (b: number, g: string): number => mean(peers(g).map((y) => y.l * (y.r - b) ** 2));
    const best = 1 - (compute(lengthWeightedBaseline, mixedBatch())[0] as number);
    for (const d of [-0.1, -0.01, 0.01, 0.1]) expect(spread(best, 'a')).toBeLessThan(spread(best + d, 'a'));
  });

  it('the greedy sample is the baseline, and has no advantage', () => {
    const batch = batchOf([
      { group: 'a', reward: 1, length: 2 },
      { group: 'a', reward: 0, length: 3 },
      { group: 'a', reward: 0.75, length: 1, greedy: true, trains: false },
    ]);
    near(compute(greedyBaseline, batch), [0.25, -0.75, 0]);
    expect(batch.training).toEqual([0, 1]);
  });
});

describe('advantages at tokens against loops over tokens', () => {
  /** Actions of a sample with their log-probabilities, forced tokens left out. */
  const actionsOf = (batch: RolloutBatch, n: number): number[] => {
    const { start, end } = batch.span(n);
    return Array.from({ length: end - start }, (_, j) => start + j).filter((k) => batch.actions[k] === 1);
  };
  const withReference = (): RolloutBatch => {
    const batch = mixedBatch();
    batch.reference_logp = batch.old_logp.map((x, k) => x + Math.sin(k));
    return batch;
  };

  it('the plain return carries the KL of the whole sample', () => {
    const batch = withReference();
    const got = compute(rawReturn, batch, { kl_coef: 0.3 });
    near(
      got,
      rows.map(({ r }, n) => r - 0.3 * actionsOf(batch, n).reduce((s, k) => s - Math.sin(k), 0)),
    );
  });

  it('returns of REINFORCE++, normalised over the batch', () => {
    const batch = withReference();
    const [kl, gamma] = [0.2, 0.9];
    const returns = new Map<number, number>();
    for (const [n, { r }] of rows.entries()) {
      const own = actionsOf(batch, n);
      for (const [i, k] of own.entries()) {
        let total = 0;
        for (let j = i; j < own.length; j++) total += gamma ** (j - i) * (kl * Math.sin(own[j] as number) + (j === own.length - 1 ? r : 0));
        returns.set(k, total);
      }
    }
    const all = [...returns.values()];
    const s = Math.sqrt(all.reduce((a, x) => a + (x - mean(all)) ** 2, 0) / (all.length - 1));
    const got = compute(batchNormReturns, batch, { kl_coef: kl, gamma });
    for (let k = 0; k < batch.tokens; k++)
      expect(got[k]).toBeCloseTo(returns.has(k) ? ((returns.get(k) as number) - mean(all)) / (s + 1e-8) : 0, 9);
  });

  it('generalized advantages are the discounted sums of temporal differences; lam 1 gives returns minus values', () => {
    const batch = withReference();
    const values = Float64Array.from({ length: batch.tokens }, (_, k) => Math.cos(k));
    batch.columns.values = values;
    const [gamma, lam] = [0.9, 0.8];
    const got = compute(gae, batch, { gamma, lam, whiten_advantages: false });
    for (const [n, { r }] of rows.entries()) {
      const own = actionsOf(batch, n);
      const v = (i: number): number => (i < own.length ? (values[own[i] as number] as number) : 0);
      for (const [i, k] of own.entries()) {
        let [advantage, ret] = [0, 0];
        for (let j = i; j < own.length; j++) {
          const reward = j === own.length - 1 ? r : 0;
          advantage += (gamma * lam) ** (j - i) * (reward + gamma * v(j + 1) - v(j));
          ret += gamma ** (j - i) * reward;
        }
        expect(got[k]).toBeCloseTo(advantage, 10);
        expect(batch.columns.returns?.[k]).toBeCloseTo(advantage + (values[k] as number), 10);
        const full = compute(gae, batch, { gamma, lam: 1, whiten_advantages: false });
        expect(full[k]).toBeCloseTo(ret - (values[k] as number), 10);
        compute(gae, batch, { gamma, lam, whiten_advantages: false });
      }
    }
    const white = compute(gae, batch, { gamma, lam }).filter((_, k) => batch.actions[k] === 1);
    expect(mean(white)).toBeCloseTo(0, 10);
    expect(mean(white.map((x) => x * x)) * (white.length / (white.length - 1))).toBeCloseTo(1, 6);
  });
});
