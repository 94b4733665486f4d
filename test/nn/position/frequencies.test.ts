import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Settings } from '../../../src/contracts/index.js';
import { type PositionMethod, positions, ropeFrequencies } from '../../../src/nn/position/index.js';
import { compile, NDArray, type Tensor } from '../../../src/tensor/index.js';
import { randomNumbers } from '../../tensor/autodiff/finiteDifferences.js';

interface Golden {
  readonly name: string;
  readonly head_dim: number;
  readonly max_position_embeddings: number;
  readonly length: number;
  readonly settings: Settings;
  readonly inverse: readonly number[];
  readonly factor: number;
}

const golden = JSON.parse(readFileSync(new URL('../../../fixtures/position/rope.json', import.meta.url), 'utf8')) as Golden[];
const configOf = (head_dim: number, max_position_embeddings: number) => ({
  hidden_size: 2 * head_dim,
  num_attention_heads: 2,
  head_dim,
  max_position_embeddings,
});

describe.each(golden)('rope frequencies: $name', ({ head_dim, max_position_embeddings, length, settings, inverse, factor }) => {
  const config = configOf(head_dim, max_position_embeddings);

  it('are those of transformers', () => {
    const got = ropeFrequencies(config, settings, length);
    expect(got.inverse.length).toBe(inverse.length);
    got.inverse.forEach((f, i) => {
      expect(f / (inverse[i] as number)).toBeCloseTo(1, 5);
    });
    expect(got.factor).toBeCloseTo(factor, 7);
  });

  it('turn pairs of features by position times frequency', async () => {
    const rope = positions.rope as PositionMethod;
    const time = Math.min(length, 40);
    const next = randomNumbers(3);
    const x = new NDArray('f32', [1, 1, time, head_dim], Float32Array.from({ length: time * head_dim }, next));
    const ids = new NDArray(
      'i32',
      [1, time],
      Int32Array.from({ length: time }, (_, t) => t),
    );
    const rotate = compile(
      (h: Tensor, at: Tensor) => {
        const place = { ids: at, limit: length };
        const applied = rope.apply({ config, settings: { ...rope.defaults, ...settings }, weights: {}, queries: place, keys: place });
        return (applied.rotate ?? (() => h))(h);
      },
      { backend: 'reference' },
    );
    const got = ((await rotate.run(x, ids)).toNested() as number[][][][])[0]?.[0] as number[][];
    rotate.dispose();
    const half = inverse.length;
    (x.toNested() as number[][][][])[0]?.[0]?.forEach((row, t) => {
      row.forEach((v, i) => {
        const angle = t * (inverse[i % half] as number);
        const other = i < half ? -(row[i + half] as number) : (row[i - half] as number);
        const want = i < 2 * half ? factor * (v * Math.cos(angle) + other * Math.sin(angle)) : v;
        expect(got[t]?.[i]).toBeCloseTo(want, 4);
      });
    });
  });
});

describe('rope settings', () => {
  const config = configOf(16, 64);
  it.each([
    ['an unknown type', { rope_type: 'spiral' }, /unknown rope_type "spiral"; known: default, linear/],
    ['a missing factor', { rope_type: 'linear' }, /type "linear" needs the number "factor", got undefined/],
    ['a factor that is no number', { rope_type: 'yarn', factor: 'four' }, /needs the number "factor", got four/],
    ['a list of the wrong length', { rope_type: 'longrope', short_factor: [1, 2] }, /needs "short_factor" with 8 positive numbers/],
    ['a divisor of zero', { rope_type: 'longrope', short_factor: [1, 1, 1, 1, 1, 1, 1, 0] }, /with 8 positive numbers/],
  ] as const)('refuse %s', (_, settings, message) => {
    expect(() => ropeFrequencies(config, settings, 64)).toThrow(message);
  });

  it('cover every type in the golden figures', () => {
    expect(new Set(golden.map((g) => g.settings.rope_type))).toEqual(
      new Set(['default', 'linear', 'dynamic', 'yarn', 'llama3', 'longrope']),
    );
  });
});
