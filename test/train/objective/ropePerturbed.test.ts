import { describe, expect, it } from 'vitest';
import type { Settings } from '../../../src/contracts/index.js';
import { compile, type NDArray, randomKey, type Tensor } from '../../../src/tensor/index.js';
import type { BatchTensors } from '../../../src/train/objective/index.js';
import { perturb, ropePerturbed } from '../../../src/train/objective/ropePerturbed.js';
import { batchOf, model } from './support.js';

const batchSize = 64;
const time = 6;
const batch = batchOf({
  inputs: Array.from({ length: batchSize }, () => Array.from({ length: time }, () => 0)),
  targets: Array.from({ length: batchSize }, () => Array.from({ length: time }, () => 0)),
});

async function views(settings: Settings, context = model.context, key = 1): Promise<{ positions: number[][]; moved: boolean[][] }> {
  const run = compile(
    (tensors: BatchTensors, k: Tensor) => {
      const { positions, moved } = perturb({
        model: { ...model, context },
        batch: tensors,
        key: k,
        settings: { ...ropePerturbed.defaults, ...settings },
      });
      return { positions, moved: moved.cast('i32') };
    },
    { backend: 'reference' },
  );
  const out = await run.run(batch as never, randomKey(key));
  run.dispose();
  const nested = (x: NDArray): number[][] => x.toNested() as number[][];
  return { positions: nested(out.positions), moved: nested(out.moved).map((row) => row.map((x) => x === 1)) };
}

describe('positions of the perturbed view', () => {
  it('skip opens one gap in each row, at every place and of every length that the model has room for', async () => {
    const { positions, moved } = await views({ perturbation: 'skip' });
    const gaps = positions.map((row, b) => {
      const shift = row.map((r, t) => r - t);
      const split = (moved[b] as boolean[]).indexOf(true);
      const gap = shift[time - 1] as number;
      expect(shift).toEqual(shift.map((_, t) => (t < split ? 0 : gap)));
      expect((moved[b] as boolean[]).every((m, t) => m === t >= split)).toBe(true);
      expect(Math.max(...row)).toBeLessThan(model.context);
      return { split, gap };
    });
    expect(new Set(gaps.map((g) => g.split))).toEqual(new Set([0, 1, 2, 3, 4, 5]));
    expect(new Set(gaps.map((g) => g.gap))).toEqual(new Set([1, 2, 3, 4, 5, 6]));
  });

  it('gaps are cut to the positions that there are', async () => {
    const { positions } = await views({ perturbation: 'skip' }, time + 2);
    expect(new Set(positions.map((row) => (row[time - 1] as number) - (time - 1)))).toEqual(new Set([1, 2]));
  });

  it('cyclic turns whole rows', async () => {
    const { positions, moved } = await views({ perturbation: 'cyclic' });
    for (const row of positions) expect(row).toEqual(row.map((_, t) => ((row[0] as number) + t) % time));
    expect(new Set(positions.map((row) => row[0]))).toEqual(new Set([0, 1, 2, 3, 4, 5]));
    expect(moved.flat().every(Boolean)).toBe(true);
  });

  it('auto skips where there is room and turns where there is none', async () => {
    expect(await views({})).toEqual(await views({ perturbation: 'skip' }));
    expect(await views({}, time)).toEqual(await views({ perturbation: 'cyclic' }, time));
  });

  it('refuses skips without room and unknown perturbations, and says what to do', async () => {
    await expect(views({ perturbation: 'skip' }, time)).rejects.toThrow(/max_position_embeddings|cyclic/);
    await expect(views({ perturbation: 'shuffle' })).rejects.toThrow(/auto, skip or cyclic, got shuffle/);
  });
});
