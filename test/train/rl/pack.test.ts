import { describe, expect, it } from 'vitest';
import type { ParamTree } from '../../../src/nn/param.js';
import { compile, grad, mul, type NDArray, randomKey, type Tensor, type Tree, treeEntries, zeros } from '../../../src/tensor/index.js';
import { minibatchExtra, packMinibatch } from '../../../src/train/rl/minibatch.js';
import { recipeNeeds } from '../../../src/train/rl/needs.js';
import { rlObjective } from '../../../src/train/rl/objective.js';
import { packSequences, scatterColumn } from '../../../src/train/rl/pack.js';
import { lossBuilder } from '../../../src/train/step.js';
import { mixedBatch, numbers, recipeOf, tinyPolicy } from './support.js';

const { model, params } = tinyPolicy();

describe('packing', () => {
  it('puts every sequence into one row with its own segment, positions from 0 and targets at its actions', () => {
    const next = numbers(3);
    const items = Array.from({ length: 23 }, (_, unit) => ({
      context: Int32Array.from({ length: 1 + Math.floor(next() * 20) }, () => 4 + Math.floor(next() * 90)),
      tokens: Int32Array.from({ length: 1 + Math.floor(next() * 40) }, () => 4 + Math.floor(next() * 90)),
      unit,
    }));
    const parts = packSequences(items, { context: 128, max_tokens: 256 });
    expect(parts.length).toBeGreaterThan(1);
    const seen = new Set<number>();
    for (const { batch, placements, length, rows } of parts) {
      expect(length).toBe(128);
      expect(rows * length).toBeLessThanOrEqual(256);
      for (const { item, row, offset } of placements) {
        seen.add(item);
        const { context, tokens } = items[item] as (typeof items)[number];
        const start = row * length + offset - context.length + 1;
        const size = context.length + tokens.length - 1;
        const cut = (x: NDArray | undefined): number[] => Array.from((x as NDArray).data as Int32Array).slice(start, start + size);
        expect(cut(batch.inputs)).toEqual([...context, ...tokens].slice(0, -1));
        expect(cut(batch.positions)).toEqual([...Array(size).keys()]);
        expect(new Set(cut(batch.segment_ids)).size).toBe(1);
        expect(cut(batch.targets)).toEqual([...Array(context.length - 1).fill(-1), ...tokens]);
      }
    }
    expect(seen.size).toBe(items.length);
  });

  it('keeps units whole, and says what is too long', () => {
    const items = Array.from({ length: 9 }, (_, i) => ({
      context: Int32Array.of(4),
      tokens: new Int32Array(40).fill(5),
      unit: Math.floor(i / 3),
    }));
    for (const { placements } of packSequences(items, { context: 128, max_tokens: 192 })) {
      const units = placements.map((p) => items[p.item]?.unit);
      for (const u of new Set(units)) expect(units.filter((x) => x === u)).toHaveLength(3);
    }
    const long = [{ context: Int32Array.of(4), tokens: new Int32Array(128), unit: 0 }];
    expect(() => packSequences(long, { context: 64, max_tokens: 64 })).toThrow(/128 tokens.*context is 64/);
    expect(() =>
      packSequences([{ context: new Int32Array(0), tokens: Int32Array.of(4), unit: 0 }], { context: 64, max_tokens: 64 }),
    ).toThrow(/bos/);
  });
});

/** Loss and gradients of a batch under a recipe, parts added up. */
async function lossOf(spec: string, max_tokens: number, separate = false) {
  const recipe = recipeOf(spec, { max_completion_length: 8 });
  const { slots, settings } = recipe;
  const needs = recipeNeeds(slots, settings);
  const batch = mixedBatch();
  batch.reference_logp = batch.old_logp.map((x, k) => x + 0.3 * Math.sin(k));
  batch.advantages = Float64Array.from({ length: batch.tokens }, (_, k) => Math.cos(k));
  const minibatch = packMinibatch(batch, [...batch.samples.keys()], [], needs, { context: model.context, max_tokens });
  // separate: each sequence in a row of its own, as padding would have it
  const packed = separate
    ? {
        ...minibatch,
        parts: minibatch.items.flatMap((item, i) =>
          packSequences([{ ...item }], { context: model.context, max_tokens }).map((p) => ({
            ...p,
            placements: p.placements.map((x) => ({ ...x, item: i })),
          })),
        ),
      }
    : minibatch;
  const extra = minibatchExtra({ batch, minibatch: packed, slots, settings, needs, temperature: 1 });
  const objective = { method: rlObjective(recipe), settings: {} };
  const fn = compile(
    (weights: ParamTree<Tensor>, data: never, arrays: Readonly<Record<string, Tensor>>, key: Tensor) => {
      const build = lossBuilder({ model, objective }, { batch: data, extra: arrays, frozen: {}, key, progress: zeros([]) });
      const { loss, count } = build(weights);
      return { loss: mul(loss, count as Tensor), count, grads: grad(mul(loss, count as Tensor), weights as never) as ParamTree<Tensor> };
    },
    { backend: 'reference' },
  );
  let [loss, count] = [0, 0];
  const grads: Record<string, number[]> = {};
  for (const [i, part] of packed.parts.entries()) {
    const out = await fn.run(params as never, part.batch as never, extra[i] as never, randomKey(1));
    loss += (out.loss as NDArray).item();
    count += (out.count as unknown as NDArray).item();
    for (const [path, g] of treeEntries<NDArray>(out.grads as Tree<NDArray>))
      grads[path] = g.toNumbers().map((x, j) => x + (grads[path]?.[j] ?? 0));
  }
  fn.dispose();
  for (const g of Object.values(grads)) for (const j of g.keys()) g[j] = (g[j] as number) / count;
  return { loss: loss / count, grads, parts: packed.parts.length };
}

describe('packed equals padded', () => {
  it.each(['grpo', 'gspo'])('%s: loss and gradients, in one part, in several, and each sequence alone', async (spec) => {
    const whole = await lossOf(spec, 4096);
    expect(whole.parts).toBe(1);
    expect(Math.abs(whole.loss)).toBeGreaterThan(1e-3);
    for (const other of [await lossOf(spec, 64), await lossOf(spec, 4096, true)]) {
      expect(other.loss).toBeCloseTo(whole.loss, 6);
      for (const [path, g] of Object.entries(whole.grads))
        for (const [j, x] of g.entries()) expect(Math.abs((other.grads[path]?.[j] as number) - x)).toBeLessThan(1e-6);
    }
  });
});

describe('columns', () => {
  it('stand at the positions that predict their tokens', () => {
    const items = [{ context: Int32Array.of(4, 5, 6), tokens: Int32Array.of(7, 8), unit: 0 }];
    const [part] = packSequences(items, { context: 128, max_tokens: 128 });
    const column = scatterColumn(part as never, () => [1.5, 2.5], { items });
    expect(Array.from(column.data as Float32Array).slice(0, 6)).toEqual([0, 0, 1.5, 2.5, 0, 0]);
  });
});
