import { describe, expect, it } from 'vitest';
import type { Settings } from '../../../src/contracts/index.js';
import type { NamedReward } from '../../../src/train/rl/contract.js';
import type { Host } from '../../../src/train/rl/host.js';
import { adaptiveTarget } from '../../../src/train/rl/parts/difficultySteps.js';
import { batchOf, hostOf, numbers, recipeOf } from './support.js';

/** What rewards make of given rewards and lengths, against plain loops. */

const rewards = [1, 0, 1, 1, 0, 0, 1, 0, 1];
const lengths = [9, 4, 20, 13, 17, 6, 6, 6, 2];
const groups = ['a', 'a', 'a', 'a', 'b', 'b', 'c', 'c', 'd'];
const batch = batchOf(lengths.map((length, i) => ({ group: groups[i] as string, reward: 0, length, forced: i === 3 ? [12] : [] })));
/** tokens that the policy chose: the last of sample 3 is forced */
const chosen = lengths.map((l, i) => (i === 3 ? l - 1 : l));
const given: NamedReward = { name: 'given', score: () => rewards };

async function scored(spec: string, settings: Settings, host?: Host): Promise<number[]> {
  const recipe = recipeOf(spec);
  const part = recipe.slots.reward;
  const own = host ?? hostOf(recipe, [given], { max_completion_length: 20, ...settings });
  return (await part.score(batch.samples, own.context('reward', part))).map((s) => s.reward);
}
const close = (got: number[], want: number[]): void => {
  expect(got).toHaveLength(want.length);
  for (const [i, x] of want.entries()) expect(got[i]).toBeCloseTo(x, 12);
};

describe('length rewards', () => {
  it('length-penalty: linear between the shortest and the longest of the group; wrong answers gain nothing', async () => {
    const want = rewards.map((r, i) => {
      const own = chosen.filter((_, j) => groups[j] === groups[i]);
      const [least, most] = [Math.min(...own), Math.max(...own)];
      if (least === most) return r;
      const u = 0.5 - ((chosen[i] as number) - least) / (most - least);
      return r + 0.25 * (r > 0 ? u : Math.min(0, u));
    });
    close(await scored('grpo+length-penalty', { length_coef: 0.25 }), want);
    expect(want[1]).toBe(0);
    expect(want[4]).toBeCloseTo(-0.125, 12);
  });

  it('laser: a bonus up to the target, for right answers alone', async () => {
    const want = rewards.map((r, i) => (r > 0 && (chosen[i] as number) <= 12 ? 1.5 : r));
    close(await scored('grpo+laser', { laser_target: 0.6 }), want);
    expect(want).toEqual([1.5, 0, 1, 1.5, 0, 0, 1.5, 0, 1.5]);
  });

  it('discounted: what backing the reward up token by token gives', async () => {
    const want = rewards.map((r, i) => {
      let value = r;
      for (let t = 0; t < (chosen[i] as number); t++) value *= 0.9;
      return value;
    });
    close(await scored('grpo+discounted', { discount: 0.9 }), want);
  });

  it('discounted: close to 1, the order of policies is by accuracy, then by length', async () => {
    // policies by what they give with what probability: [probability, reward, tokens]
    type Policy = readonly (readonly [number, number, number])[];
    const accurate: Policy = [
      [0.9, 1, 40],
      [0.1, 0, 1],
    ] as const;
    const short: Policy = [
      [0.9, 1, 30],
      [0.1, 0, 90],
    ] as const;
    const hasty: Policy = [
      [0.7, 1, 2],
      [0.3, 0, 1],
    ] as const;
    const value = (policy: Policy, gamma: number): number => policy.reduce((sum, [p, r, l]) => sum + p * r * gamma ** l, 0);
    const order = (gamma: number) => [hasty, accurate, short].sort((a, b) => value(b, gamma) - value(a, gamma));
    expect(order(0.999)).toEqual([short, accurate, hasty]);
    expect(order(0.9)[0]).toBe(hasty);
  });
});

describe('laser-d', () => {
  it('finds the shortest target by which a right answer is expected', () => {
    const next = numbers(3);
    for (let trial = 0; trial < 50; trial++) {
      const own = Array.from({ length: 1 + Math.floor(next() * 9) }, () => 1 + Math.floor(next() * 20));
      const right = 1 + Math.floor(next() * 5);
      const grid = [4, 6, 9, 15];
      let want = 20;
      for (const target of [...grid].reverse()) {
        let covered = 0;
        for (const l of own) if (l <= target) covered++;
        if (covered * right >= own.length) want = target;
      }
      expect(adaptiveTarget(own, right, grid, 20)).toBe(want);
    }
    expect(adaptiveTarget([], 3, [4], 20)).toBe(20);
  });

  it('has a target for each difficulty and sets it anew when it is time', async () => {
    const recipe = recipeOf('grpo+laser-d');
    // grid 5, 10, 15, 20; of groups of 8, five right answers make one easy, two a medium one
    const settings = { max_completion_length: 20, num_generations: 8, laser_lower: 0.25, laser_interval: 0.25, laser_every: 2 };
    const host = hostOf(recipe, [given], settings);
    // a: 3 of 4 right, easy, lengths 9 4 20 12: a quarter up to 5 and 5/4 >= 1; d: easy, too. b: hard, all lengths covered by 20. c: medium, half needed
    const first = await scored('grpo+laser-d', {}, host);
    expect(first).toEqual([1, 0, 1, 1, 0, 0, 1.5, 0, 1.5]);
    expect(host.takeMetrics()).toMatchObject({ 'length_target/easy': 5, 'length_target/medium': 10, 'length_target/hard': 20 });
    host.step = 1;
    const state = host.context('reward', recipe.slots.reward).state as { targets: number[] };
    state.targets[2] = 12;
    expect(await scored('grpo+laser-d', {}, host)).toEqual([1.5, 0, 1, 1.5, 0, 0, 1.5, 0, 1.5]);
    host.step = 2;
    expect(await scored('grpo+laser-d', {}, host)).toEqual(first);
    expect(JSON.parse(JSON.stringify(state))).toEqual(state);
  });

  it('equals laser where only the permitted length is a target', async () => {
    const all = await scored('grpo+laser', { laser_target: 1 });
    expect(await scored('grpo+laser-d', { laser_lower: 1 })).toEqual(all);
  });
});
