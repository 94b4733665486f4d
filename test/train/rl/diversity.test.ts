import { describe, expect, it } from 'vitest';
import type { PolicyService } from '../../../src/train/rl/contract.js';
import { volumeShares } from '../../../src/train/rl/parts/diversity.js';
import { batchOf, hostOf, numbers, recipeOf } from './support.js';

/** Determinant by cofactors of the first row. */
function determinant(m: readonly (readonly number[])[]): number {
  if (m.length === 0) return 1;
  const [first, ...rest] = m as [number[], ...number[][]];
  return first.reduce((s, x, j) => s + (j % 2 === 0 ? x : -x) * determinant(rest.map((row) => row.filter((_, k) => k !== j))), 0);
}

/** log det(L + I) of the inner products of vectors. */
const volume = (vectors: readonly (readonly number[])[]): number =>
  Math.log(
    determinant(vectors.map((a, i) => vectors.map((b, j) => a.reduce((s, x, d) => s + x * (b[d] as number), 0) + (i === j ? 1 : 0)))),
  );
const shares = (vectors: readonly (readonly number[])[]): number[] =>
  vectors.map((_, i) => volume(vectors) - volume(vectors.filter((__, j) => j !== i)));
const unit = (x: readonly number[]): number[] => {
  const norm = Math.sqrt(x.reduce((s, v) => s + v * v, 0));
  return x.map((v) => v / norm);
};

describe('volume of a group of embeddings', () => {
  it.each([1, 2, 5, 7])('%s embeddings: what each adds is the ratio of two determinants', (count) => {
    const next = numbers(count + 3);
    const vectors = Array.from({ length: count }, () => unit(Array.from({ length: 4 }, () => 2 * next() - 1)));
    const got = volumeShares(vectors.map((v) => Float64Array.from(v)));
    for (const [i, w] of shares(vectors).entries()) expect(got[i]).toBeCloseTo(w, 10);
    for (const x of got) expect(x >= 0 && x <= Math.log(2) + 1e-12).toBe(true);
  });

  it('a copy adds less than an answer at a right angle', () => {
    const got = volumeShares(
      [
        [1, 0],
        [1, 0],
        [0, 1],
      ].map((v) => Float64Array.from(v)),
    );
    expect(got[2]).toBeCloseTo(Math.log(2), 12);
    expect(got[0]).toBeCloseTo(Math.log(3 / 2), 12);
  });
});

describe('DQO', () => {
  it('adds alpha times that to the rewards of each group, with centred means of hidden states as embeddings', async () => {
    const batch = batchOf([1, 0, 1, 0, 1].map((reward, i) => ({ group: i < 3 ? 'a' : 'b', reward, length: 2 + (i % 3) })));
    const row = (token: number): number[] => [Math.sin(token), Math.cos(3 * token), 5 + Math.sin(2 * token)];
    const asked: string[] = [];
    const policy: PolicyService = {
      generate: () => Promise.reject(new Error('not here')),
      logps: () => Promise.reject(new Error('not here')),
      nudged: () => Promise.reject(new Error('not here')),
      measure: async (sequences, { name }, which) => {
        asked.push(`${name} of ${which}`);
        return sequences.map(({ tokens }) => Float64Array.from([...tokens].flatMap(row)));
      },
    };
    const recipe = recipeOf('grpo+dqo', { dqo_alpha: 0.25 });
    const half = { name: 'half', score: (_: unknown, c: readonly string[]) => c.map(() => 0.5) };
    const part = recipe.slots.reward;
    const scored = await part.score(batch.samples, hostOf(recipe, [half], {}, policy).context('reward', part));
    const means = batch.samples.map((s) => {
      const rows = [...(s.segments[0]?.tokens ?? [])].map(row);
      return [0, 1, 2].map((d) => rows.reduce((sum, r) => sum + (r[d] as number), 0) / rows.length);
    });
    const centre = [0, 1, 2].map((d) => means.reduce((s, m) => s + (m[d] as number), 0) / means.length);
    const vectors = means.map((m) => unit(m.map((x, d) => x - (centre[d] as number))));
    const want = [...shares(vectors.slice(0, 3)), ...shares(vectors.slice(3))];
    for (const [n, s] of scored.entries()) {
      expect(s.reward).toBeCloseTo(0.5 + 0.25 * (want[n] as number), 10);
      expect(s.rewards.volume).toBeCloseTo(0.25 * (want[n] as number), 10);
    }
    expect(asked).toEqual(['hidden states of reference']);
    expect(new Set(want.map((w) => w.toFixed(6))).size).toBeGreaterThan(3);
  });
});
