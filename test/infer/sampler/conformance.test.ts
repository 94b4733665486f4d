import { describe, expect, it } from 'vitest';
import type { Settings } from '../../../src/contracts/index.js';
import { type SamplerMethod, samplers } from '../../../src/infer/sampler/index.js';
import { array, compile, type NDArray, type Tensor } from '../../../src/tensor/index.js';

/** Rows of logits with ties, large and small spreads, and everything excluded but one. */
const rows: number[][] = [
  Array.from({ length: 12 }, (_, i) => Math.sin(7 * i) * 3),
  Array.from({ length: 12 }, (_, i) => ((i * 5) % 12) / 2),
  Array.from({ length: 12 }, () => 1),
  Array.from({ length: 12 }, (_, i) => (i === 4 ? 40 : 1 - i)),
  Array.from({ length: 12 }, (_, i) => (i === 4 ? -2 : -1e30)),
];
const seen = rows.map((_, b) => Array.from({ length: 12 }, (_, i) => Number((i + b) % 3 === 0)));

function apply(method: SamplerMethod, settings: Settings, logits: number[][] = rows, marks = seen, backend: 'ort' | 'reference' = 'ort') {
  const scalars = Object.fromEntries(method.scalars.map((name) => [name, Number(settings[name])]));
  const compiled = compile(
    (z: Tensor, s: Record<string, Tensor>, seenTokens: Tensor) =>
      method.transform(z, { scalars: s, settings, ...(method.needs?.includes('seen') ? { seen: seenTokens } : {}) }).add(0),
    { backend, threads: 1 },
  );
  const out = compiled.runSync(array(logits), scalars as never, array(marks, { dtype: 'bool' })) as NDArray;
  compiled.dispose();
  return out.toNested() as number[][];
}

describe.each(Object.values(samplers).map((m) => [m.id, m] as const))('the sampler %s', (_, method) => {
  const settings = method.defaults;
  it('gives finite logits, leaves a token to draw, and keeps the order of those that it leaves', () => {
    const out = apply(method, settings);
    for (const [b, z] of out.entries()) {
      expect(z.every(Number.isFinite)).toBe(true);
      expect(Math.max(...z)).toBeGreaterThan(-1e29);
      if (method.needs) continue;
      const kept = z.flatMap((x, i) => (x > -1e29 ? [[rows[b]?.[i] as number, x] as const] : []));
      for (const [before, after] of kept) for (const [other, now] of kept) if (before < other) expect(after).toBeLessThan(now);
    }
  });

  it('treats rows alike wherever they stand', () => {
    const turned = apply(method, settings, [...rows].reverse(), [...seen].reverse()).reverse();
    expect(turned).toEqual(apply(method, settings));
  });

  it('agrees with the reference interpreter', () => {
    const [ort, reference] = [apply(method, settings), apply(method, settings, rows, seen, 'reference')];
    for (const [b, z] of ort.entries()) for (const [i, x] of z.entries()) expect(x).toBeCloseTo(reference[b]?.[i] as number, 4);
  });

  it('equals its parent at its limits, and differs elsewhere', () => {
    const parent = method.parent === undefined ? undefined : samplers[method.parent];
    if (!parent) {
      expect(method.id).toBe('sample');
      return;
    }
    const base = apply(parent, parent.defaults);
    for (const limit of method.limits) expect(apply(method, { ...settings, ...limit.settings })).toEqual(base);
    if (method.deterministic) expect(parent.deterministic).toBeUndefined();
    else {
      expect(method.limits.length).toBeGreaterThan(0);
      const strict: Settings = { temperature: 0.5, top_k: 2, top_p: 0.3, min_p: 0.5, repetition_penalty: 2 };
      const own = Object.fromEntries(Object.keys(settings).map((name) => [name, strict[name] as number]));
      expect(apply(method, own)).not.toEqual(base);
    }
  });
});

describe('against plain loops', () => {
  const of = (id: string, settings: Settings, z: number[], marks: number[] = z.map(() => 0)): number[] =>
    apply(samplers[id] as SamplerMethod, settings, [z], [marks])[0] as number[];
  const kept = (z: number[]): number[] => z.flatMap((x, i) => (x > -1e29 ? [i] : []));
  const softmax = (z: number[]): number[] => {
    const e = z.map((x) => Math.exp(x - Math.max(...z)));
    return e.map((x) => x / e.reduce((a, b) => a + b));
  };
  const cases = Array.from({ length: 8 }, (_, s) =>
    Array.from({ length: 50 }, (_, i) => 2.5 * Math.sin(17 * (s + 1) * (i + 1)) + Math.cos(i)),
  );

  it.each(cases.map((z) => [z]))('top-p keeps the smallest set of enough probability, min-p the share of the best', (z) => {
    for (const share of [0.05, 0.5, 0.9]) {
      const p = softmax(z);
      const order = [...p.keys()].sort((a, b) => (p[b] as number) - (p[a] as number));
      let mass = 0;
      const nucleus = order.filter((i) => {
        const stays = mass < share;
        mass += p[i] as number;
        return stays;
      });
      expect(kept(of('top-p', { top_p: share }, z))).toEqual(nucleus.sort((a, b) => a - b));
      const best = Math.max(...p);
      expect(kept(of('min-p', { min_p: share }, z))).toEqual(p.flatMap((x, i) => (x >= share * best ? [i] : [])));
      const k = Math.ceil(share * 50);
      expect(kept(of('top-k-sampling', { top_k: k }, z))).toEqual(order.slice(0, k).sort((a, b) => a - b));
    }
  });

  it('repetition penalty divides positive and multiplies negative logits of seen tokens', () => {
    expect(of('repetition-penalty', { repetition_penalty: 2 }, [3, 3, -3, -3, 0], [1, 0, 1, 0, 1])).toEqual([1.5, 3, -6, -3, 0]);
  });

  it('tokens that tie with the last one stay', () => {
    expect(kept(of('top-k-sampling', { top_k: 2 }, [1, 3, 2, 2, 0]))).toEqual([1, 2, 3]);
  });
});
