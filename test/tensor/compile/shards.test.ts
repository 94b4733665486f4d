import { describe, expect, it } from 'vitest';
import { array, compile, grad, matmul, type NDArray, OpError, shardedMean, type Tensor } from '../../../src/tensor/index.js';

const values = (n: number, seed: number): Float32Array => Float32Array.from({ length: n }, (_, i) => Math.sin(seed + 1.7 * i));

/** A regression step over a batch of 8. */
const step =
  (shards: number) =>
  (w: Tensor, x: Tensor, y: Tensor): { loss: Tensor; dw: Tensor } =>
    shardedMean(
      (part: { x: Tensor; y: Tensor }) => {
        const loss = matmul(part.x, w).sub(part.y).square().mean();
        return { loss, dw: grad(loss, w) };
      },
      { x, y },
      { shards },
    );

const args = (): [NDArray, NDArray, NDArray] => [
  array(values(15, 1), { shape: [5, 3] }),
  array(values(40, 2), { shape: [8, 5] }),
  array(values(24, 3), { shape: [8, 3] }),
];

describe('shardedMean', () => {
  it.each([2, 4, 8])('gives the whole batch loss and gradient from %i parts, run side by side or in turn', async (shards) => {
    const whole = compile(step(1)).runSync(...args());
    const sharded = compile(step(shards));
    for (const result of [await sharded.run(...args()), sharded.runSync(...args())]) {
      expect(result.loss.item()).toBeCloseTo(whole.loss.item(), 6);
      const expected = whole.dw.toNumbers();
      result.dw.toNumbers().forEach((g, i) => {
        expect(g).toBeCloseTo(expected[i] as number, 6);
      });
    }
  });

  it('runs the parts on the same compiled step', () => {
    const text = compile(step(2)).print(...args());
    const parts = text.split('\n\n').filter((p) => p.startsWith('shard('));
    expect(parts).toHaveLength(2);
    expect(parts[1]).toBe(parts[0]);
  });

  it('is exact over repeated asynchronous runs', async () => {
    const f = compile(step(4));
    const first = (await f.run(...args())).dw.toNumbers();
    for (let i = 0; i < 20; i++) expect((await f.run(...args())).dw.toNumbers()).toEqual(first);
  });

  it('refuses a batch that does not split', () => {
    const bad = (): unknown => compile(step(3)).runSync(...args());
    expect(bad).toThrow(OpError);
    expect(bad).toThrow(/does not split into 3 equal parts/);
  });
});
