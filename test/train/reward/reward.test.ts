import { describe, expect, it } from 'vitest';
import type { Settings } from '../../../src/contracts/index.js';
import { type RewardMethod, rewardModels } from '../../../src/train/reward/index.js';
import { patchReward, RewardScorer, reward } from '../../../src/train/reward.js';
import { chains, pairs } from '../support/examples.js';
import { expectExactResume, type Loop, optimizer, runLoop, schedule } from '../support/loops.js';
import { model } from '../support/lossRun.js';

const chosen = (id: string, change: Settings = {}) => {
  const method = rewardModels[id] as RewardMethod;
  return [{ method, settings: { ...method.defaults, ...change } }];
};
const loop =
  (id: string, change: Settings = {}): Loop =>
  (shared) =>
    reward({ ...shared, recipe: { optimizer: optimizer(0.01), schedule, rewards: chosen(id, change) } });

describe('reward', () => {
  it('learns which response is better, and scores as it was measured', async () => {
    const { result, lines } = await runLoop(loop('bradley-terry'), pairs, { args: { max_steps: 30, logging_steps: 1 } });
    expect(result.metrics.eval_accuracy).toBe(1);
    for (const name of ['accuracy', 'margin', 'mean_reward', 'max_reward', 'min_reward'])
      expect(Object.keys(lines[0] ?? {}), name).toContain(name);
    const scorer = new RewardScorer(model, patchReward(chosen('bradley-terry')), result, { threads: 1 });
    const scores = await scorer.score(pairs, { batch_size: 4, context: 8 });
    const margins = scores.map(([a, b]) => (a as number) - (b as number));
    expect(margins.reduce((s, x) => s + x, 0) / 4).toBeCloseTo(result.metrics.eval_margin as number, 3);
    scorer.dispose();
  });

  it('says what is missing in the data', () => {
    expect(() => runLoopSync(loop('prm'))).toThrow('encode the data with kind stepwise');
  });

  it.each([
    ['smorm', { attributes: 2 }, pairs],
    ['oprm', {}, pairs],
    ['sprm', {}, chains(false)],
  ] as const)('resumes to the same bits: %s', async (id, change, set) => {
    await expectExactResume(loop(id, change), set);
  });
});

/** What a loop refuses before its first step. */
const runLoopSync = (of: Loop): unknown => of({ data: { carries: [] }, args: { max_steps: 1 } } as never);
