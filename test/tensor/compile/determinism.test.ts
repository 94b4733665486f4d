import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { array, type NDArray } from '../../../src/tensor/array.js';
import type { Tensor } from '../../../src/tensor/graph.js';
import { compile, grad } from '../../../src/tensor/index.js';
import * as ops from '../../../src/tensor/ops/index.js';
import { trainedHash } from './train.js';

const pathOf = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

/** trainedHash in a process of its own. */
async function hashInProcess(seed: number): Promise<string> {
  const args = [pathOf('../../support/runScript.mjs'), pathOf('./train.ts'), 'trainedHash', JSON.stringify([seed])];
  return JSON.parse((await promisify(execFile)(process.execPath, args)).stdout) as string;
}

describe('determinism', () => {
  it('two processes train to the same bits from one seed, and to others from another', async () => {
    const [first, second, here, other] = await Promise.all([hashInProcess(1), hashInProcess(1), trainedHash(1), trainedHash(2)]);
    expect(first).toMatch(/^[0-9a-f]{64}$/);
    expect(second).toBe(first);
    expect(here).toBe(first);
    expect(other).not.toBe(first);
  });

  it('gradients of embeddings have the same bits for any number of threads, with repeated ids', () => {
    const [rows, width, vocabulary] = [4096, 64, 50];
    const table = array(
      Float32Array.from({ length: vocabulary * width }, (_, i) => Math.sin(i) * 1e3),
      { shape: [vocabulary, width] },
    );
    const ids = array(
      Int32Array.from({ length: rows }, (_, i) => (i * i + 7 * i) % vocabulary),
      { shape: [rows] },
    );
    const g = array(
      Float32Array.from({ length: rows * width }, (_, i) => Math.cos(i * 1.7) * 10 ** ((i % 7) - 3)),
      { shape: [rows, width] },
    );
    const f = (t: Tensor, index: Tensor, weight: Tensor) => {
      const untied = grad(ops.embedding(index, t).mul(weight).sum(), t);
      const tied = grad(ops.embedding(index, t).mul(weight).sum().add(t.square().sum()), t);
      const along = grad(
        ops
          .takeAlong(t.transpose(), index.reshape([1, rows]).broadcastTo([width, rows]))
          .mul(weight.transpose())
          .sum(),
        t,
      );
      return [untied, tied, along];
    };
    let expected: readonly NDArray[] | undefined;
    for (const threads of [1, 2, 3]) {
      const compiled = compile(f, { threads });
      for (let repeat = 0; repeat < 10; repeat++) {
        const results = compiled.runSync(table, ids, g);
        expected ??= results;
        for (const [i, r] of results.entries()) expect(Buffer.compare(bytes(r), bytes(expected[i] as NDArray)), `result ${i}`).toBe(0);
      }
      compiled.dispose();
    }
    const wanted = compile(f, { backend: 'reference' }).runSync(table, ids, g);
    for (const [i, w] of wanted.entries()) {
      const got = expected?.[i]?.toNumbers() ?? [];
      w.toNumbers().forEach((v, k) => {
        expect(Math.abs((got[k] as number) - v)).toBeLessThan(0.02);
      });
    }
  });
});

const bytes = ({ data }: NDArray): Buffer => Buffer.from(data.buffer, data.byteOffset, data.byteLength);
