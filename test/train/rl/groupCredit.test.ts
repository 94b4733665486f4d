import { describe, expect, it } from 'vitest';
import { riskSensitive } from '../../../src/train/rl/parts/groupCredit.js';
import { batchOf, contextOf, hostOf, type mixedBatch, recipeOf } from './support.js';

describe('RS-GRPO', () => {
  const rewards = [1, 0, 0.5, -0.25, 0];
  const credit = (own: readonly number[], risk_beta: number): number[] => {
    const batch = batchOf(own.map((reward) => ({ group: 'a', reward, length: 2 })));
    return [...riskSensitive.compute(batch, contextOf('advantage', recipeOf('rs-grpo'), { risk_beta }))];
  };

  it.each([-1, 0.1, 2, 8])('at b = %s the advantages are the gradient of (1/b) log E exp(b r) for a softmax policy', (b) => {
    // one completion for each of the actions of a uniform policy: sums over the group are exact expectations
    const n = rewards.length;
    const objective = (logits: readonly number[]): number => {
      const weights = logits.map(Math.exp);
      const total = weights.reduce((x, y) => x + y, 0);
      return Math.log(weights.reduce((s, w, i) => s + (w / total) * Math.exp(b * (rewards[i] as number)), 0)) / b;
    };
    const advantages = credit(rewards, b);
    expect(advantages.reduce((x, y) => x + y, 0)).toBeCloseTo(0, 12);
    for (let i = 0; i < n; i++) {
      const at = (h: number): number => objective(rewards.map((_, j) => (j === i ? h : 0)));
      // d log pi / d logit sums to pi_i A_i, as the advantages add up to 0
      expect((advantages[i] as number) / n).toBeCloseTo((at(1e-5) - at(-1e-5)) / 2e-5, 7);
    }
  });

  it('weighs a rare success by more than a common one, and stays finite where exponentials overflow', () => {
    const [rare, common] = [credit([1, 0, 0, 0], 2), credit([1, 1, 1, 0], 2)];
    expect(rare[0]).toBeGreaterThan(3 * (common[0] as number));
    expect(credit([1000, 0, 0, 0], 5)).toEqual([3 / 5, -1 / 5, -1 / 5, -1 / 5]);
    expect(credit([1, 1, 1], 2)).toEqual([0, 0, 0]);
  });
});

describe('GPG', () => {
  const of = (batch: ReturnType<typeof mixedBatch>): Float64Array => {
    const { slots } = recipeOf('gpg');
    return slots.advantage.compute(batch, hostOf(recipeOf('gpg')).context('advantage', slots.advantage));
  };

  it('groups of equal rewards leave the mean over the batch as if they were not there', () => {
    const lively = [1, 0, 0.5, 0].map((reward) => ({ group: 'a', reward, length: 3 }));
    const quiet = [1, 1, 0, 0].map((reward, i) => ({ group: i < 2 ? 'b' : 'c', reward, length: 3 }));
    const [alone, among] = [of(batchOf(lively)), of(batchOf([...lively, ...quiet]))];
    const mean = 1.5 / 4;
    for (let k = 0; k < 12; k++) {
      expect(alone[k]).toBeCloseTo((lively[Math.floor(k / 3)]?.reward as number) - mean, 12);
      expect((among[k] as number) / 24).toBeCloseTo((alone[k] as number) / 12, 12);
    }
    expect([...among.subarray(12)].every((a) => a === 0)).toBe(true);
  });

  it('a batch without any signal stays at 0', () => {
    expect([...of(batchOf([1, 1].map((reward) => ({ group: 'a', reward, length: 1 }))))]).toEqual([0, 0]);
  });
});
