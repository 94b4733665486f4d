import { describe, expect, it } from 'vitest';
import { array, compile, matmul, type NDArray, type Tensor } from '../../../src/tensor/index.js';

const values = (rows: number, columns: number, seed: number): NDArray =>
  array(
    Float32Array.from({ length: rows * columns }, (_, i) => Math.sin(seed + 0.7 * i)),
    { shape: [rows, columns] },
  );
const product = (a: Tensor, b: Tensor): Tensor => matmul(a, b, { transA: true, alpha: 0.5 });

/** a^T b / 2 in float64. */
function bruteForce(a: NDArray, b: NDArray): number[] {
  const [rows, m] = a.shape as [number, number];
  const n = b.shape[1] as number;
  const [x, y] = [a.toNumbers(), b.toNumbers()];
  return Array.from({ length: m * n }, (_, i) => {
    const [r, c] = [Math.floor(i / n), i % n];
    let sum = 0;
    for (let k = 0; k < rows; k++) sum += (x[k * m + r] as number) * (y[k * n + c] as number);
    return sum / 2;
  });
}

describe('weight gradients on the CPU', () => {
  it.each([
    ['the left operand', 64, 96],
    ['the right operand, and the result back', 96, 64],
  ])('transpose %s where that is narrower', (_, m, n) => {
    const [a, b] = [values(640, m, 1), values(640, n, 2)];
    const f = compile(product, { backend: 'ort' });
    expect(f.print(a, b)).toContain('transA=false');
    expect(f.print(a, b).match(/= transpose\(/g)).toHaveLength(m < n ? 1 : 2);
    const expected = bruteForce(a, b);
    f.runSync(a, b)
      .toNumbers()
      .forEach((x, i) => {
        expect(Math.abs(x - (expected[i] as number))).toBeLessThan(2e-4);
      });
    f.dispose();
  });

  it('share the transpose of one left operand', () => {
    const f = compile((a: Tensor, b: Tensor, c: Tensor) => [product(a, b), product(a, c)] as const, { backend: 'ort' });
    const args = [values(640, 64, 1), values(640, 96, 2), values(640, 80, 3)] as const;
    expect(f.print(...args).match(/= transpose\(/g)).toHaveLength(1);
  });

  it.each([
    ['few rows', 100, 64, 96],
    ['a vector', 640, 1, 96],
  ])('leave %s as they are', (_, rows, m, n) => {
    const f = compile(product, { backend: 'ort' });
    expect(f.print(values(rows, m, 1), values(rows, n, 2))).toContain('transA=true');
  });
});
