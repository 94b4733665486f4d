import { readFileSync } from 'node:fs';
import { expect } from 'vitest';
import type { DType } from '../../src/tensor/dtype.js';
import { Graph, inputTensor, makeNode, type Tensor } from '../../src/tensor/graph.js';
import type { PrimAttrs, PrimName } from '../../src/tensor/prims.js';
import { evaluate, type RefArray, refArray } from '../../src/tensor/reference/index.js';
import type { DecoderFixture } from './decoder.js';

export interface GoldenArray {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: readonly number[];
}

/** A case of fixtures/torch/ops.json; ops.py describes the fields. */
export interface GoldenCase {
  readonly name: string;
  readonly op: string;
  readonly attrs: Readonly<Record<string, unknown>>;
  readonly inputs: readonly GoldenArray[];
  readonly outputs: readonly GoldenArray[];
  readonly cotangents?: readonly (GoldenArray | null)[];
  readonly grads?: readonly (GoldenArray | null)[];
  readonly tangents?: readonly (GoldenArray | null)[];
  readonly grads2?: readonly (GoldenArray | null)[];
}

export const readFixture = (name: string): unknown =>
  JSON.parse(readFileSync(new URL(`../../fixtures/torch/${name}`, import.meta.url), 'utf8'));

export const goldenCases = (): GoldenCase[] => readFixture('ops.json') as GoldenCase[];

export const decoderFixture = (): DecoderFixture => readFixture('decoder.json') as DecoderFixture;

export const toRef = (a: GoldenArray): RefArray => refArray(a.dtype, a.shape, Float64Array.from(a.data));

/** Functions of src/tensor/ops that the fixtures name "ops.<name>". */
export type Composed = Readonly<Record<string, (x: Tensor, axis: number) => Tensor>>;

/** The op of a case applied to `inputs`. */
export function applyCase(c: GoldenCase, inputs: readonly Tensor[], composed: Composed): readonly Tensor[] {
  if (!c.op.startsWith('ops.')) return makeNode(c.op as PrimName, inputs, c.attrs as PrimAttrs[PrimName]).outs;
  const f = composed[c.op.slice(4)];
  if (!f) throw new Error(`no function for ${c.op}`);
  return [f(inputs[0] as Tensor, Number(c.attrs.axis))];
}

/** Traces `build` over inputs of the given arrays and evaluates it in float64. */
export function runReference(arrays: readonly RefArray[], build: (inputs: readonly Tensor[]) => readonly Tensor[]): RefArray[] {
  const inputs = arrays.map((a, i) => inputTensor(`x${i}`, a.shape, a.dtype));
  return evaluate(new Graph(inputs, build(inputs)), arrays);
}

/** Same dtype and shape, and |actual - expected| <= tolerance (1 + |expected|) everywhere. */
export function expectClose(actual: RefArray | GoldenArray, expected: GoldenArray | RefArray, tolerance: number, what = ''): void {
  expect({ dtype: actual.dtype, shape: [...actual.shape] }, what).toEqual({ dtype: expected.dtype, shape: [...expected.shape] });
  let worst = 0;
  let at = -1;
  expected.data.forEach((e, i) => {
    const a = actual.data[i] as number;
    const error = a === e || (Number.isNaN(a) && Number.isNaN(e)) ? 0 : Math.abs(a - e) / (1 + Math.abs(e));
    if (!(error <= worst)) [worst, at] = [error, i];
  });
  expect(worst, `${what} element ${at}: ${actual.data[at]} instead of ${expected.data[at]}`).toBeLessThanOrEqual(tolerance);
}
