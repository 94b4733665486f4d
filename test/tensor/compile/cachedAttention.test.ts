import { describe, expect, it } from 'vitest';
import {
  applyRotary,
  array,
  cachedAttention,
  compile,
  embedding,
  mul,
  type NDArray,
  OpError,
  reshape,
  ropeTables,
  scaledDotProductAttention,
  split,
  type Tensor,
  transpose,
  zerosArray,
} from '../../../src/tensor/index.js';

const [heads, kvHeads, d, capacity] = [4, 2, 16, 24];
const width = (heads + 2 * kvHeads) * d;
const rope = ropeTables(capacity, d);

const values = (shape: readonly number[], seed: number): NDArray =>
  array(
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(seed + 0.37 * i + 0.011 * i * i)),
    { shape },
  );

const parts = (qkv: Tensor): [Tensor, Tensor, Tensor] => split(qkv, [heads * d, kvHeads * d, kvHeads * d], -1) as [Tensor, Tensor, Tensor];

interface Variant {
  /** rotate inside the operation */
  readonly turned: boolean;
  /** hand q, k and v over as slices of one product, which the kernel takes whole */
  readonly joint: boolean;
}

const step =
  ({ turned, joint }: Variant) =>
  (qkv: Tensor, pastK: Tensor, pastV: Tensor, length: Tensor): readonly [Tensor, Tensor, Tensor] => {
    const [q, k, v] = parts(qkv);
    const query = joint ? q : mul(q, 1.25);
    const a = cachedAttention({ q: query, k, v, pastK, pastV, length, ...(turned ? { rope } : {}) }, { heads, kvHeads });
    return [a.pastK, a.pastV, a.out];
  };

const close = (actual: NDArray, expected: NDArray): void => {
  const b = expected.toNumbers();
  actual.toNumbers().forEach((x, i) => {
    expect(Math.abs(x - (b[i] as number))).toBeLessThan(2e-6);
  });
};

const variants = [true, false].flatMap((turned) => [true, false].map((joint): Variant => ({ turned, joint })));

describe('cachedAttention on ONNX Runtime', () => {
  // S new tokens after `length`, for B sequences; two tokens of two sequences have no kernel and are expanded
  describe.each([
    [1, 5, 1],
    [1, 0, 1],
    [3, 0, 1],
    [3, 4, 1],
    [1, 5, 2],
    [2, 3, 2],
  ])('with %i new tokens after %i, %i sequences', (S, length, B) => {
    it.each(variants)('gives the reference, in place (rotation $turned, joint projection $joint)', (variant) => {
      const args = (): [NDArray, NDArray, NDArray, NDArray] => [
        values([B, S, width], 1),
        values([B, kvHeads, capacity, d], 2),
        values([B, kvHeads, capacity, d], 3),
        array(Int32Array.from({ length: B }, () => length)),
      ];
      const f = compile(step(variant), { backend: 'ort', donate: [1, 2] });
      const [k, v, out] = f.runSync(...args());
      const [refK, refV, refOut] = compile(step(variant), { backend: 'reference' }).runSync(...args());
      close(out, refOut);
      close(k, refK);
      close(v, refV);
      f.dispose();
    });
  });

  it('rotates heads of 8 values too, each row by its own position', () => {
    const tables = ropeTables(capacity, 8);
    const args = (): [NDArray, NDArray, NDArray, NDArray] => [
      values([3, 1, 8 * 4], 1),
      values([3, 2, capacity, 8], 2),
      values([3, 2, capacity, 8], 3),
      array(Int32Array.of(0, 7, 21)),
    ];
    const f = (x: Tensor, pastK: Tensor, pastV: Tensor, length: Tensor): readonly [Tensor, Tensor, Tensor] => {
      const k = mul(split(x, 2, -1)[0] as Tensor, 0.7);
      const a = cachedAttention({ q: x, k, v: k, pastK, pastV, length, rope: tables }, { heads: 4, kvHeads: 2 });
      return [a.pastK, a.pastV, a.out];
    };
    const compiled = compile(f, { backend: 'ort', donate: [1, 2] });
    expect(compiled.inPlaceOutputs(...args())).toEqual([0, 1]);
    const expected = compile(f, { backend: 'reference' }).runSync(...args());
    compiled.runSync(...args()).forEach((x, i) => {
      close(x, expected[i] as NDArray);
    });
    compiled.dispose();
  });

  it('token by token equals causal attention over the whole sequence with rotated queries and keys', () => {
    const tokens = 9;
    const whole = compile((qkv: Tensor) => {
      const [q, k, v] = parts(qkv);
      const positions = array(Int32Array.from({ length: tokens }, (_, i) => i));
      const byHead = (x: Tensor, n: number): Tensor => transpose(reshape(x, [1, tokens, n, d]), [0, 2, 1, 3]);
      const [cos, sin] = [embedding(positions, rope.cos), embedding(positions, rope.sin)];
      const turn = (x: Tensor): Tensor => applyRotary(x, cos, sin);
      const out = scaledDotProductAttention(turn(byHead(q, heads)), turn(byHead(k, kvHeads)), byHead(v, kvHeads), { causal: true });
      return reshape(transpose(out, [0, 2, 1, 3]), [1, tokens, heads * d]);
    });
    const all = values([1, tokens, width], 7);
    const expected = whole.runSync(all).toNumbers();
    const f = compile(step({ turned: true, joint: true }), { backend: 'ort', donate: [1, 2] });
    let [k, v] = [zerosArray([1, kvHeads, capacity, d]), zerosArray([1, kvHeads, capacity, d])];
    const data = all.data as Float32Array;
    for (let t = 0; t < tokens; t++) {
      const row = array(data.slice(t * width, (t + 1) * width), { shape: [1, 1, width] });
      let out: NDArray;
      [k, v, out] = f.runSync(row, k, v, array(Int32Array.of(t)));
      out.toNumbers().forEach((x, i) => {
        expect(Math.abs(x - (expected[t * heads * d + i] as number))).toBeLessThan(2e-6);
      });
    }
    f.dispose();
  });

  it('refuses rotary tables of another head size', () => {
    const wrong = ropeTables(capacity, d * 2);
    const f = compile((qkv: Tensor, pastK: Tensor, pastV: Tensor, length: Tensor) => {
      const [q, k, v] = parts(qkv);
      return cachedAttention({ q, k, v, pastK, pastV, length, rope: wrong }, { heads, kvHeads }).out;
    });
    const cache = zerosArray([1, kvHeads, capacity, d]);
    expect(() => f.runSync(values([1, 1, width], 1), cache, cache.clone(), array(Int32Array.of(0)))).toThrow(OpError);
  });
});
