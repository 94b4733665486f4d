import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { array, BackendError, compile, constant, matmul, type NDArray, type Tensor } from '../../../src/tensor/index.js';

const size = 300;
const weight = (scale: number): NDArray =>
  array(
    Float32Array.from({ length: size * size }, (_, i) => scale * Math.cos(i)),
    { shape: [size, size] },
  );
const x = array(
  Float32Array.from({ length: size }, (_, i) => Math.sin(i)),
  { shape: [1, size] },
);

describe('weightsFolder', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'vitro-weights-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const times = (w: NDArray) => (input: Tensor) => matmul(input, constant(w));

  it.each(['ort', 'ort-node'] as const)('gives the results of weights in memory (%s)', (backend) => {
    const w = weight(1);
    const mapped = compile(times(w), { weightsFolder: folder, backend });
    const plain = compile(times(w), { backend });
    expect(mapped.runSync(x).toNumbers()).toEqual(plain.runSync(x).toNumbers());
    expect(readdirSync(folder)).toHaveLength(1);
    mapped.dispose();
    plain.dispose();
  });

  it('writes a weight once, however many functions use it, and mends a file that was cut short', () => {
    const w = weight(2);
    compile(times(w), { weightsFolder: folder }).runSync(x);
    const [name] = readdirSync(folder) as [string];
    const file = join(folder, name);
    const written = statSync(file).mtimeMs;
    compile((input: Tensor) => matmul(input, constant(w)).mul(2), { weightsFolder: folder }).runSync(x);
    expect(readdirSync(folder)).toEqual([name]);
    expect(statSync(file).mtimeMs).toBe(written);
  });

  it('says what is wrong with a folder that cannot be written', () => {
    const notAFolder = join(folder, 'file');
    writeFileSync(notAFolder, 'x');
    expect(() => compile(times(weight(3)), { weightsFolder: notAFolder }).runSync(x)).toThrow(BackendError);
  });
});
