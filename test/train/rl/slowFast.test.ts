import { describe, expect, it } from 'vitest';
import type { Settings } from '../../../src/contracts/index.js';
import { NDArray } from '../../../src/tensor/index.js';
import { RolloutBatch } from '../../../src/train/rl/batch.js';
import { leavesWindow } from '../../../src/train/rl/parts/slowFast.js';
import { hostOf, mixedBatch, recipeOf } from './support.js';

/** Gradient descent at rate eta on curvature (w - target)^2 / 2, one SFPO step after the other. */
async function descend(settings: Settings, entropies: readonly number[], { eta = 0.1, curvature = 3, target = 2 } = {}): Promise<number[]> {
  const recipe = recipeOf('grpo+sfpo');
  const host = hostOf(recipe, [], settings);
  const { update } = recipe.slots;
  let w = 0;
  const ends: number[] = [];
  for (const entropy of entropies) {
    const batch = new RolloutBatch(mixedBatch().samples);
    batch.entropy.fill(entropy);
    await update.run({
      ...host.context('update', update),
      batch,
      train: async () => {
        w -= eta * curvature * (w - target);
        return {};
      },
      parameters: {
        snapshot: () => ({ w: new NDArray('f32', [], Float32Array.of(w)) }),
        interpolate: ({ w: from }, alpha) => {
          const start = (from as NDArray).item();
          w = start + alpha * (w - start);
        },
      },
    });
    ends.push(w);
  }
  expect(JSON.parse(JSON.stringify(host.save()))).toEqual(host.save());
  return ends;
}

describe('SFPO', () => {
  it.each([
    [3, 0.8],
    [7, 0.2],
    [1, 1],
  ])('%s fast steps and alpha %s on a quadratic, in closed form', async (fast_steps, reposition_alpha) => {
    // along curvature c the way to the target shrinks by (1 - eta c)^K, is taken back to alpha, and shrinks once more
    const shrink = 1 - 0.1 * 3;
    const left = (1 - reposition_alpha * (1 - shrink ** fast_steps)) * shrink;
    const [one, two] = await descend({ fast_steps, reposition_alpha }, [1, 1]);
    expect(one).toBeCloseTo(2 - 2 * left, 6);
    expect(two).toBeCloseTo(2 - 2 * left ** 2, 6);
  });

  it('after a jump of the entropy one step a batch remains, for good', async () => {
    const calm = [1, 1.01, 0.99, 1, 1.02];
    const ends = await descend({ entropy_window: 5, entropy_threshold: 3 }, [...calm, 2, 1]);
    const kept = (i: number): number => (2 - (ends[i] as number)) / (2 - (ends[i - 1] as number));
    for (let i = 1; i < 5; i++) expect(kept(i)).toBeCloseTo((1 - 0.8 * (1 - 0.7 ** 3)) * 0.7, 5);
    expect(kept(5)).toBeCloseTo(0.7, 5);
    expect(kept(6)).toBeCloseTo(0.7, 5);
    const never = await descend({ entropy_window: 5, entropy_threshold: 0 }, [...calm, 2, 1]);
    expect((2 - (never[6] as number)) / (2 - (never[5] as number))).toBeLessThan(0.5);
  });

  it('z-scores need a full window with some spread', () => {
    expect(leavesWindow([1, 2], 100, 3, 3)).toBe(false);
    expect(leavesWindow([1, 1, 1], 100, 3, 3)).toBe(false);
    // mean 2, standard deviation 1
    expect(leavesWindow([1, 2, 3], 4.9, 3, 3)).toBe(false);
    expect(leavesWindow([1, 2, 3], 5, 3, 3)).toBe(true);
    expect(leavesWindow([1, 2, 3], -1, 3, 3)).toBe(true);
  });
});
