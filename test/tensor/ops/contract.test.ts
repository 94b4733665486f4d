import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { array, type NDArray } from '../../../src/tensor/array.js';
import { sym } from '../../../src/tensor/dim.js';
import * as ops from '../../../src/tensor/ops/index.js';
import { dequantizeBlocks, quantizeBlocks } from '../../../src/tensor/quant.js';
import { arrayOf, build, distance, indices, pick, run, type Value } from './support.js';

/** Einstein summation by one loop over all letters. */
function bruteEinsum(equation: string, operands: readonly NDArray[]): Value {
  const [left = '', right = ''] = equation.split('->');
  const terms = left.split(',');
  const sizes = new Map<string, number>();
  terms.forEach((t, i) => {
    [...t].forEach((letter, axis) => {
      sizes.set(letter, operands[i]?.shape[axis] as number);
    });
  });
  const letters = [...sizes.keys()];
  const shape = [...right].map((l) => sizes.get(l) as number);
  const values = operands.map((o) => o.toNumbers());
  const totals = new Map<string, number>();
  for (const index of indices([...sizes.values()])) {
    const where = (term: string): number[] => [...term].map((l) => index[letters.indexOf(l)] as number);
    const product = terms.reduce((p, t, i) => p * pick(operands[i] as NDArray, values[i] as number[], where(t)), 1);
    const key = where(right).join();
    totals.set(key, (totals.get(key) ?? 0) + product);
  }
  return build(shape, (index) => totals.get(index.join()) as number);
}

const equations = [
  'bthd,bshd->bhts',
  'bhts,bshd->bthd',
  'ij,jk->ik',
  'ij,jk->ki',
  'ij,kj->ik',
  'ji,jk->ik',
  'ij->ji',
  'ij->',
  'ij->j',
  'ii->i',
  'ii->',
  'iji->j',
  'iij,j->i',
  'i,i->',
  'i,j->ij',
  'i,j->ji',
  'ij,ij->ij',
  'ij,ij->i',
  'bij,bjk,bkl->bil',
  'a,b,c->cab',
  'ab,bc,ca->',
  'bi,bj->bij',
  'abc,cd->',
  'ab,ab,ab->b',
  ',i->i',
  'tbc,tcd,td->b',
];

describe('einsum', () => {
  it.each(equations)('%s', (equation) => {
    const letters = [...new Set(equation.replace(/[^a-z]/g, ''))];
    const terms = (equation.split('->')[0] as string).split(',');
    const drawn = fc
      .array(fc.integer({ min: 1, max: 3 }), { minLength: letters.length, maxLength: letters.length })
      .chain((sizes) => fc.tuple(...terms.map((t) => arrayOf([...t].map((l) => sizes[letters.indexOf(l)] as number)))));
    fc.assert(
      fc.property(drawn, (operands) => {
        expect(
          distance(
            run((...xs) => ops.einsum(equation, ...xs), ...operands),
            bruteEinsum(equation, operands),
          ),
        ).toBeLessThan(1e-9);
      }),
      { numRuns: 12 },
    );
  });

  it('draws equations at random', () => {
    const term = fc.array(fc.constantFrom('a', 'b', 'c', 'd'), { maxLength: 3 });
    const drawn = fc.array(term, { minLength: 1, maxLength: 3 }).chain((terms) => {
      const letters = [...new Set(terms.flat())];
      return fc.tuple(
        fc.constant(terms),
        fc.shuffledSubarray(letters),
        fc
          .array(fc.integer({ min: 1, max: 3 }), { minLength: 4, maxLength: 4 })
          .chain((sizes) => fc.tuple(...terms.map((t) => arrayOf(t.map((l) => sizes['abcd'.indexOf(l)] as number))))),
      );
    });
    fc.assert(
      fc.property(drawn, ([terms, result, operands]) => {
        const equation = `${terms.map((t) => t.join('')).join(',')}->${result.join('')}`;
        expect(
          distance(
            run((...xs) => ops.einsum(equation, ...xs), ...operands),
            bruteEinsum(equation, operands),
          ),
        ).toBeLessThan(1e-9);
      }),
      { numRuns: 150 },
    );
  });

  it('takes symbolic sizes', () => {
    const x = array([
      [1, 2],
      [3, 4],
      [5, 6],
    ]);
    const got = run((t) => ops.einsum('bd,cd->bc', t, t), { value: x, declared: [sym('B'), 2] });
    expect(got).toEqual(bruteEinsum('bd,cd->bc', [x, x]));
  });
});

describe('matmul', () => {
  it('agrees with its definition, broadcast and transposed', () => {
    const size = fc.integer({ min: 1, max: 3 });
    const drawn = fc
      .tuple(size, size, size, size, fc.boolean(), fc.boolean(), fc.boolean())
      .chain(([b, m, k, n, tA, tB, shared]) =>
        fc.tuple(
          arrayOf([b, ...(tA ? [k, m] : [m, k])]),
          arrayOf([...(shared ? [] : [2, 1]), ...(tB ? [n, k] : [k, n])]),
          fc.constant({ transA: tA, transB: tB, alpha: 0.5 }),
        ),
      );
    fc.assert(
      fc.property(drawn, ([a, b, options]) => {
        const lead = b.shape.length === 2 ? '' : 'xy';
        const [left, right] = [options.transA ? 'zkm' : 'zmk', options.transB ? 'nk' : 'kn'];
        const full = bruteEinsum(`${left},${lead}${right}->${lead}zmn`, [a, b]);
        const expected = { shape: lead ? [2, ...full.shape.slice(2)] : full.shape, data: full.data.map((v) => v / 2) };
        expect(
          distance(
            run((x, y) => ops.matmul(x, y, options), a, b),
            expected,
          ),
        ).toBeLessThan(1e-9);
      }),
      { numRuns: 60 },
    );
  });

  it('treats vectors as NumPy does', () => {
    const [v, w, m] = [
      array([1, 2]),
      array([3, 4]),
      array([
        [1, 2],
        [3, 4],
      ]),
    ];
    expect(run((a, b) => ops.matmul(a, b), v, w)).toEqual({ shape: [], data: [11] });
    expect(run((a, b) => ops.matmul(a, b), v, m)).toEqual({ shape: [2], data: [7, 10] });
    expect(run((a, b) => ops.matmul(a, b), m, v)).toEqual({ shape: [2], data: [5, 11] });
    expect(run((a) => ops.matmul(a.broadcastTo([3, 2, 2]), v), m).shape).toEqual([3, 2]);
  });
});

describe('conv1d', () => {
  it('agrees with a loop over taps', () => {
    const drawn = fc
      .record({
        groups: fc.constantFrom(1, 2, 4),
        taps: fc.integer({ min: 1, max: 3 }),
        dilation: fc.integer({ min: 1, max: 2 }),
        low: fc.nat(3),
        high: fc.nat(3),
      })
      .chain((o) => fc.tuple(fc.constant(o), arrayOf([2, 5, 4]), arrayOf([4, 4 / o.groups, o.taps]), arrayOf([4])));
    fc.assert(
      fc.property(drawn, ([{ groups, taps, dilation, low, high }, x, w, bias]) => {
        const [xs, ws, bs] = [x.toNumbers(), w.toNumbers(), bias.toNumbers()];
        const perGroup = 4 / groups;
        const at = (b: number, t: number, o: number): number => {
          let total = bs[o] as number;
          for (let c = 0; c < perGroup; c++)
            for (let k = 0; k < taps; k++) {
              const time = t - low + k * dilation;
              if (time >= 0 && time < 5) total += pick(x, xs, [b, time, Math.floor(o / perGroup) * perGroup + c]) * pick(w, ws, [o, c, k]);
            }
          return total;
        };
        const length = 5 + low + high - dilation * (taps - 1);
        const expected = build([2, length, 4], ([b = 0, t = 0, o = 0]) => at(b, t, o));
        const got = run((a, f, c) => ops.conv1d(a, f, { bias: c, dilation, padding: [low, high] }), x, w, bias);
        expect(distance(got, expected)).toBeLessThan(1e-9);
        const causal = run((a, f) => ops.causalConv1d(a, f, { dilation }), x, w);
        const same = run((a, f) => ops.conv1d(a, f, { dilation, padding: [dilation * (taps - 1), 0] }), x, w);
        expect(causal).toEqual(same);
        expect(causal.shape).toEqual([2, 5, 4]);
      }),
      { numRuns: 40 },
    );
  });
});

describe('block quantization', () => {
  const weight = (n: number, k: number): fc.Arbitrary<NDArray> => arrayOf([n, k], fc.double({ min: -3, max: 3, noNaN: true }));
  const drawn = fc.record({ bits: fc.constantFrom(4 as const, 8 as const), blockSize: fc.constantFrom(16, 32), symmetric: fc.boolean() });

  it('stays within half a step of each value', () => {
    fc.assert(
      fc.property(weight(3, 96), drawn, (w, options) => {
        const q = quantizeBlocks(w, options);
        const [got, scales] = [dequantizeBlocks(q).toNumbers(), q.scales.toNumbers()];
        w.toNumbers().forEach((v, i) => {
          const step = Math.abs(scales[Math.floor(i / options.blockSize)] as number);
          // The symmetric range reaches one step less on the side opposite to the extreme; a rounded zero point may cut half a step.
          expect(Math.abs(v - (got[i] as number))).toBeLessThanOrEqual(step * 1.001 + 1e-6);
        });
      }),
      { numRuns: 30 },
    );
  });

  it('represents its own grid exactly', () => {
    const values = Array.from({ length: 32 }, (_, i) => (i % 16) - 8);
    for (const symmetric of [true, false])
      for (const bits of [4, 8] as const) {
        const w = array(
          values.map((v) => v * (bits === 8 && symmetric ? 16 : bits === 8 ? 17 : 1) * 0.25),
          { shape: [1, 32] },
        );
        expect(dequantizeBlocks(quantizeBlocks(w, { bits, symmetric })).toNumbers()).toEqual(w.toNumbers());
      }
    expect(dequantizeBlocks(quantizeBlocks(array([new Array<number>(16).fill(0)]), { blockSize: 16 })).toNumbers()).toEqual(
      new Array(16).fill(0),
    );
  });

  it('packs the earlier of two values in the low nibble', () => {
    const q = quantizeBlocks(array([Array.from({ length: 16 }, (_, i) => i - 8)]), { blockSize: 16 });
    expect([...q.packed.data]).toEqual([0x10, 0x32, 0x54, 0x76, 0x98, 0xba, 0xdc, 0xfe]);
    expect(q.scales.toNumbers()).toEqual([1]);
  });

  it('multiplies as the weight it stands for', () => {
    fc.assert(
      fc.property(weight(3, 96), arrayOf([2, 96]), drawn, (w, x, options) => {
        const q = quantizeBlocks(w, options);
        const expected = bruteEinsum('mk,nk->mn', [x, dequantizeBlocks(q)]);
        expect(
          distance(
            run((t) => ops.quantMatmul(t, q), x),
            expected,
          ),
        ).toBeLessThan(1e-3);
      }),
      { numRuns: 20 },
    );
  });

  it('refuses what it cannot pack', () => {
    expect(() => quantizeBlocks(array([1, 2]))).toThrow(/needs a weight f32 \[N, K\]/);
    expect(() => quantizeBlocks(array([new Array<number>(40).fill(1)]))).toThrow(/K = 40 is no multiple of blockSize 32/);
    expect(() => quantizeBlocks(array([new Array<number>(32).fill(Number.NaN)]))).toThrow(/row 0 holds a value that is not finite/);
    expect(() => quantizeBlocks(array([new Array<number>(32).fill(1)]), { blockSize: 24 })).toThrow(/power of two/);
  });
});
