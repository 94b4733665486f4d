import { describe, expect, it } from 'vitest';
import { array, compile, gather, matmul, OpError, type Tensor } from '../../../src/tensor/index.js';

describe('a kernel that fails at run time', () => {
  const lookUp = (table: Tensor, ids: Tensor): Tensor => matmul(gather(table, ids), table, { transB: true });

  it.each(['runSync', 'run'] as const)('names the operation, the shapes and the line that made it (%s)', async (how) => {
    const f = compile(lookUp, { backend: 'ort' });
    const table = array(Float32Array.from({ length: 6 }), { shape: [3, 2] });
    const call = async (): Promise<unknown> => f[how](table, array(Int32Array.of(0, 3)));
    const error = await call().then(
      () => undefined,
      (e: unknown) => e,
    );
    expect(error).toBeInstanceOf(OpError);
    const { message } = error as OpError;
    expect(message).toMatch(/^gather: failed on f32\[3, 2\], i32\[2\]/);
    expect(message).toMatch(/idx=3/);
    expect(message).toMatch(/runtimeErrors\.test\.ts:\d+/);
    f.dispose();
  });

  it('leaves the function usable', () => {
    const f = compile(lookUp, { backend: 'ort' });
    const table = array(Float32Array.of(1, 0, 0, 1, 1, 1), { shape: [3, 2] });
    expect(() => f.runSync(table, array(Int32Array.of(9)))).toThrow(OpError);
    expect(f.runSync(table, array(Int32Array.of(2))).toNumbers()).toEqual([1, 1, 2]);
    f.dispose();
  });
});
