import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { array, type NDArray } from '../../../src/tensor/array.js';
import * as ops from '../../../src/tensor/ops/index.js';
import { arrayOf, build, distance, pick, run, runAll } from './support.js';

const rows = (x: NDArray): number[][] => {
  const d = x.shape[x.shape.length - 1] as number;
  const flat = x.toNumbers();
  return Array.from({ length: flat.length / d }, (_, i) => flat.slice(i * d, (i + 1) * d));
};
const total = (xs: readonly number[]): number => xs.reduce((a, b) => a + b, 0);
const softmax = (xs: readonly number[]): number[] => {
  const e = xs.map((x) => Math.exp(x - Math.max(...xs)));
  return e.map((v) => v / total(e));
};

describe('normalisation', () => {
  it('follows its formulas', () => {
    fc.assert(
      fc.property(arrayOf([2, 3, 4]), arrayOf([4]), arrayOf([4]), (x, w, b) => {
        const [ws, bs] = [w.toNumbers(), b.toNumbers()];
        const shape = [2, 3, 4];
        const perRow = (f: (row: number[]) => number[]) => ({ shape, data: rows(x).flatMap(f) });
        const rms = (row: number[]): number => 1 / Math.sqrt(total(row.map((v) => v * v)) / 4 + 0.25);
        expect(
          distance(
            run((t, g) => ops.rmsNorm(t, g, { eps: 0.25 }), x, w),
            perRow((row) => row.map((v, i) => v * rms(row) * (ws[i] as number))),
          ),
        ).toBeLessThan(1e-9);
        expect(
          distance(
            run((t) => ops.rmsNorm(t, undefined, { eps: 0.25 }), x),
            perRow((row) => row.map((v) => v * rms(row))),
          ),
        ).toBeLessThan(1e-9);
        const layer = (row: number[]): number[] => {
          const m = total(row) / 4;
          const inv = 1 / Math.sqrt(total(row.map((v) => (v - m) ** 2)) / 4 + 0.25);
          return row.map((v, i) => (v - m) * inv * (ws[i] as number) + (bs[i] as number));
        };
        expect(
          distance(
            run((t, g, c) => ops.layerNorm(t, g, c, { eps: 0.25 }), x, w, b),
            perRow(layer),
          ),
        ).toBeLessThan(1e-9);
        const unit = perRow((row) => row.map((v) => v / Math.max(Math.hypot(...row), 1e-12)));
        expect(
          distance(
            run((t) => ops.l2Normalize(t), x),
            unit,
          ),
        ).toBeLessThan(1e-9);
      }),
      { numRuns: 30 },
    );
  });
});

describe('softmax and cross-entropy', () => {
  const ids = arrayOf([2, 3], fc.integer({ min: -1, max: 4 }), 'i32');
  it('agree with sums of exponentials', () => {
    fc.assert(
      fc.property(arrayOf([2, 3, 5]), ids, (x, targets) => {
        const [s, logS, none, sum, mean] = runAll(
          (t, i) => [
            t.softmax(),
            t.logSoftmax(2),
            ops.crossEntropy(t, i, { reduction: 'none' }),
            ops.crossEntropy(t, i, { reduction: 'sum' }),
            ops.crossEntropy(t, i),
          ],
          x,
          targets,
        );
        const p = rows(x).flatMap(softmax);
        expect(distance(s as never, { shape: [2, 3, 5], data: p })).toBeLessThan(1e-12);
        expect(distance(logS as never, { shape: [2, 3, 5], data: p.map(Math.log) })).toBeLessThan(1e-9);
        const t = targets.toNumbers();
        const losses = t.map((id, m) => (id < 0 ? 0 : -Math.log(p[m * 5 + id] as number)));
        expect(distance(none as never, { shape: [2, 3], data: losses })).toBeLessThan(1e-9);
        expect(distance(sum as never, { shape: [], data: [total(losses)] })).toBeLessThan(1e-9);
        const counted = t.filter((id) => id >= 0).length;
        expect(distance(mean as never, { shape: [], data: [total(losses) / Math.max(1, counted)] })).toBeLessThan(1e-9);
      }),
      { numRuns: 30 },
    );
  });

  it('fuse with the output projection', () => {
    fc.assert(
      fc.property(arrayOf([2, 3, 4]), arrayOf([5, 4]), ids, (x, w, targets) => {
        const [fused, plain] = runAll(
          (t, u, i) => [ops.linearCrossEntropy(t, u, i), ops.crossEntropy(ops.matmul(t, u, { transB: true }), i)],
          x,
          w,
          targets,
        );
        expect(distance(fused as never, plain as never)).toBeLessThan(1e-9);
      }),
      { numRuns: 20 },
    );
  });
});

describe('attention', () => {
  const drawn = fc
    .record({
      tq: fc.integer({ min: 1, max: 3 }),
      extra: fc.nat(2),
      kvHeads: fc.constantFrom(1, 2),
      causal: fc.boolean(),
      window: fc.nat(2),
      cap: fc.boolean(),
    })
    .chain((o) => {
      const tk = o.tq + o.extra;
      return fc.tuple(
        fc.constant(o),
        arrayOf([2, 2, o.tq, 4]),
        arrayOf([2, o.kvHeads, tk, 4]),
        arrayOf([2, o.kvHeads, tk, 3]),
        arrayOf([2, 1, 1, tk]),
        arrayOf([o.tq, tk], fc.constant(1), 'bool'),
      );
    });

  it('agrees with a loop over queries and keys', () => {
    fc.assert(
      fc.property(drawn, ([o, q, k, v, bias, mask]) => {
        const softcap = o.cap ? 2 : 0;
        const window = o.causal ? o.window : 0;
        const [qs, ks, vs, bs] = [q, k, v, bias].map((x) => x.toNumbers()) as [number[], number[], number[], number[]];
        const tk = k.shape[2] as number;
        const group = 2 / o.kvHeads;
        const expected = build([2, 2, o.tq, 3], ([b = 0, h = 0, i = 0, j = 0]) => {
          const kv = Math.floor(h / group);
          const scores = Array.from({ length: tk }, (_, t) => {
            const last = i + o.extra;
            if (o.causal && (t > last || (window > 0 && t <= last - window))) return Number.NEGATIVE_INFINITY;
            const dot = total([0, 1, 2, 3].map((d) => pick(q, qs, [b, h, i, d]) * pick(k, ks, [b, kv, t, d]))) / 2;
            return (softcap ? softcap * Math.tanh(dot / softcap) : dot) + pick(bias, bs, [b, 0, 0, t]);
          });
          return total(softmax(scores).map((p, t) => p * pick(v, vs, [b, kv, t, j])));
        });
        const got = run(
          (a, b, c, d, m) => ops.scaledDotProductAttention(a, b, c, { causal: o.causal, window, softcap, bias: d, mask: m }),
          q,
          k,
          v,
          bias,
          mask,
        );
        expect(distance(got, expected)).toBeLessThan(1e-9);
      }),
      { numRuns: 60 },
    );
  });

  it('leaves masked keys out', () => {
    const q = array(new Float32Array([1, 2, 3, 4]), { shape: [1, 1, 2, 2] });
    const k = array(new Float32Array([1, 0, 0, 1, 5, 5]), { shape: [1, 1, 3, 2] });
    const mask = array([1, 1, 0], { dtype: 'bool' });
    const got = run((a, b) => ops.scaledDotProductAttention(a, b, b, { mask }), q, k);
    const expected = run((a, b) => ops.scaledDotProductAttention(a, b.slice({ 2: [0, 2] }), b.slice({ 2: [0, 2] })), q, k);
    expect(distance(got, expected)).toBeLessThan(1e-12);
  });

  it('over a cache equals attention over the whole sequence', () => {
    fc.assert(
      fc.property(arrayOf([2, 3, 8]), arrayOf([2, 3, 4]), arrayOf([2, 3, 4]), fc.nat(2), (q, k, v, past) => {
        const heads = (t: import('../../../src/tensor/graph.js').Tensor, n: number) => t.reshape([2, 3, n, 4]).swapAxes(1, 2);
        const whole = run(
          (a, b, c) => {
            const out = ops.scaledDotProductAttention(heads(a, 2), heads(b, 1), heads(c, 1), { causal: true });
            return out
              .swapAxes(1, 2)
              .reshape([2, 3, 8])
              .slice({ 1: [past] });
          },
          q,
          k,
          v,
        );
        const stepwise = run(
          (a, b, c) => {
            const cache = (t: typeof a) =>
              t
                .slice({ 1: [0, past] })
                .reshape([2, 1, past, 4])
                .pad({ 2: [0, 5 - past] }, 7);
            const rest = (t: typeof a) => t.slice({ 1: [past] });
            const inputs = { q: rest(a), k: rest(b), v: rest(c), pastK: cache(b), pastV: cache(c), length: ops.full([2], past, 'i32') };
            return ops.cachedAttention(inputs, { heads: 2, kvHeads: 1 }).out;
          },
          q,
          k,
          v,
        );
        expect(distance(stepwise, whole)).toBeLessThan(1e-9);
      }),
      { numRuns: 20 },
    );
  });
});

describe('rotary position embedding', () => {
  it('rotates pairs as complex numbers and keeps relative angles', () => {
    const x = array([
      [1, 2, 3, 4],
      [5, 6, 7, 8],
    ]);
    const angles = [0, 1].map((t) => [t, t * 100 ** -0.5]);
    const turn =
      (interleaved: boolean) =>
      (t: number, row: number[]): number[] => {
        const out = [...row];
        [0, 1].forEach((i) => {
          const [a, b] = interleaved ? [2 * i, 2 * i + 1] : [i, i + 2];
          const angle = angles[t]?.[i] as number;
          const [re, im] = [row[a] as number, row[b] as number];
          out[a] = re * Math.cos(angle) - im * Math.sin(angle);
          out[b] = re * Math.sin(angle) + im * Math.cos(angle);
        });
        return out;
      };
    for (const interleaved of [false, true]) {
      const expected = rows(x).flatMap((row, t) => turn(interleaved)(t, row));
      const got = run((t) => {
        const { cos, sin } = ops.ropeTables(2, 4, 100);
        return ops.applyRotary(t, cos, sin, { interleaved });
      }, x);
      expect(distance(got, { shape: [2, 4], data: expected })).toBeLessThan(1e-6);
    }
  });
});
