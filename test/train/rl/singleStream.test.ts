import { describe, expect, it } from 'vitest';
import { randomKey } from '../../../src/tensor/index.js';
import { RolloutBatch } from '../../../src/train/rl/batch.js';
import type { PolicyService, PromptDataset } from '../../../src/train/rl/contract.js';
import { prioritizedPrompts, trackedValue, weightedDraw } from '../../../src/train/rl/parts/valueTracker.js';
import type { ScoredSample } from '../../../src/train/rl/trajectory.js';
import { batchOf, hostOf, mixedBatch, recipeOf } from './support.js';

const dataset: PromptDataset = {
  length: 4,
  prompt: (id) => ({ id, text: `${id}`, tokens: Int32Array.of(5 + id), columns: {} }),
};

/** A policy that gives every token a log-probability `drift` above what it had when it was drawn (-1). */
const drifted = (drift: number): PolicyService => ({
  generate: () => Promise.reject(new Error('not asked')),
  measure: () => Promise.reject(new Error('not asked')),
  nudged: () => Promise.reject(new Error('not asked')),
  logps: async (sequences) => sequences.map(({ tokens }) => Float64Array.from(tokens, () => -1 + drift)),
});

const asked = (id: number, reward: number): ScoredSample => {
  const [s] = batchOf([{ group: 'a', reward, length: 3 }]).samples as [ScoredSample];
  const segments = s.segments.map((one) => ({ ...one, logps: Float32Array.of(-1, -1, -1) }));
  return { ...s, segments, trajectory: { ...s.trajectory, segments, prompt: dataset.prompt(id) } };
};

describe('weighted draws', () => {
  it('the first of a draw comes in proportion to the weights', () => {
    const weights = [1, 2, 5, 0.5];
    const counts = [0, 0, 0, 0];
    const draws = 4000;
    for (let i = 0; i < draws; i++) (counts[weightedDraw(randomKey(i), weights, 1)[0] as number] as number)++;
    for (const [i, w] of weights.entries()) {
      const p = w / 8.5;
      expect(Math.abs((counts[i] as number) / draws - p)).toBeLessThan(4 * Math.sqrt((p * (1 - p)) / draws));
    }
  });

  it('nothing comes twice before everything came once', () => {
    const drawn = weightedDraw(randomKey(3), [1, 1, 9, 0.1], 10);
    expect([...drawn.slice(0, 4)].sort()).toEqual([0, 1, 2, 3]);
    expect([...drawn.slice(4, 8)].sort()).toEqual([0, 1, 2, 3]);
    expect(drawn).toHaveLength(10);
    expect(weightedDraw(randomKey(3), [1, 1, 9, 0.1], 10)).toEqual(drawn);
  });
});

describe('SPO', () => {
  const recipe = recipeOf('spo', { prompts_per_step: 2, num_generations: 2 });

  it('tracks success rates and normalises surprises over the batch, as a plain loop does', async () => {
    const drift = 0.03;
    const host = hostOf(recipe, [], {}, drifted(drift));
    const prompts = host.context('prompts', prioritizedPrompts);
    const a = [0.5, 0.5, 0.5, 0.5];
    const b = [0.5, 0.5, 0.5, 0.5];
    const seen = new Set<number>();
    const rho = 2 ** (-drift / 0.06);
    expect(rho).toBeLessThan(0.875);
    for (const rewards of [
      [1, 0, 1, 1],
      [0, 0, 1, 1],
      [1, 1, 0, 0],
      [0, 1, 1, 1],
    ]) {
      const taken = await prioritizedPrompts.next(2, dataset, prompts);
      expect(taken).toHaveLength(4);
      const batch = new RolloutBatch(taken.map(({ id }, i) => asked(id, rewards[i] as number)));
      prioritizedPrompts.observe?.(batch, prompts);
      const credit = trackedValue.compute(batch, host.context('advantage', trackedValue));
      // evidence halves with the drift since the last completion of the problem, within [0.875, 0.96]
      for (const { id } of taken) {
        const keep = seen.has(id) ? Math.max(rho, 0.875) : 0.96;
        [a[id], b[id]] = [keep * (a[id] as number), keep * (b[id] as number)];
        seen.add(id);
      }
      const surprise = taken.map(({ id }, i) => (rewards[i] as number) - (a[id] as number) / ((a[id] as number) + (b[id] as number)));
      const mean = surprise.reduce((x, y) => x + y, 0) / 4;
      const spread = Math.sqrt(surprise.reduce((s, x) => s + (x - mean) ** 2, 0) / 3);
      for (const [i, x] of surprise.entries()) expect(credit[i]).toBeCloseTo((x - mean) / (spread + 1e-4), 10);
      for (const [i, { id }] of taken.entries()) {
        a[id] = (a[id] as number) + (rewards[i] as number);
        b[id] = (b[id] as number) + 1 - (rewards[i] as number);
      }
      const [successes, failures] = [host.tasks.column('spo_successes'), host.tasks.column('spo_failures')];
      for (let id = 0; id < 4; id++) {
        expect(successes[id]).toBeCloseTo(a[id] as number, 10);
        expect(failures[id]).toBeCloseTo(b[id] as number, 10);
      }
    }
    expect(JSON.parse(JSON.stringify(host.save()))).toEqual(host.save());
  });

  it('is the adaptive moving average of the paper: v += (r - v) / (rho N + 1)', () => {
    const host = hostOf(recipe);
    const [a, b] = [host.tasks.column('spo_successes', 0.5), host.tasks.column('spo_failures', 0.5)];
    [a[2], b[2]] = [0.9 * 3, 0.9 * 2];
    trackedValue.compute(new RolloutBatch([asked(2, 1)]), host.context('advantage', trackedValue));
    const v = (a[2] as number) / ((a[2] as number) + (b[2] as number));
    expect(v).toBeCloseTo(0.6 + (1 - 0.6) / (0.9 * 5 + 1), 12);
  });

  it('asks problems of uncertain outcome more often', async () => {
    const host = hostOf(recipe, [], { priority_epsilon: 0.01 }, drifted(0));
    const [a, b] = [host.tasks.column('spo_successes', 0.5), host.tasks.column('spo_failures', 0.5)];
    a.set([99, 1, 5, 5]);
    b.set([1, 99, 5, 5]);
    const counts = [0, 0, 0, 0];
    const context = {
      ...host.context('prompts', prioritizedPrompts),
      number: (name: string) => (name === 'num_generations' ? 1 : host.number(name)),
    };
    for (let i = 0; i < 300; i++) for (const { id } of await prioritizedPrompts.next(1, dataset, context)) (counts[id] as number)++;
    expect((counts[2] as number) + (counts[3] as number)).toBeGreaterThan(2 * ((counts[0] as number) + (counts[1] as number)));
  });

  it('all samples of a step are one group', () => {
    const { grouping } = recipe.slots;
    const samples = grouping.samples(
      mixedBatch().samples.map((s) => s.trajectory),
      hostOf(recipe).context('grouping', grouping),
    );
    expect(new Set(samples.map((s) => s.group)).size).toBe(1);
  });
});
