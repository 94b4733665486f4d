import type { HostContext, Reward } from '../contract.js';
import type { Sample } from '../trajectory.js';
import { hiddenStates, rowsOf, scoredSegments } from './measures.js';

/** Diversity of the answers of a group as the volume that their embeddings span (Chen et al. 2025, arXiv:2509.04784). */

/** Inverse of a symmetric positive definite matrix [n, n] by elimination without pivots; only its diagonal is returned. */
function inverseDiagonal(matrix: readonly Float64Array[]): Float64Array {
  const n = matrix.length;
  const rows = matrix.map((row, i) => Float64Array.from([...row, ...Array.from({ length: n }, (_, j) => (i === j ? 1 : 0))]));
  for (const [c, pivot] of rows.entries()) {
    const scale = pivot[c] as number;
    for (let j = 0; j < 2 * n; j++) pivot[j] = (pivot[j] as number) / scale;
    for (const [r, row] of rows.entries()) {
      const factor = row[c] as number;
      if (r === c || factor === 0) continue;
      for (let j = 0; j < 2 * n; j++) row[j] = (row[j] as number) - factor * (pivot[j] as number);
    }
  }
  return Float64Array.from(rows, (row, i) => row[n + i] as number);
}

/**
 * log det(L + I) - log det(L without row and column i, + I) for every embedding, L their inner products: what each adds to the volume. It is
 * -log of the i-th diagonal entry of (L + I)^-1, and lies in [0, log 2] for embeddings of length 1.
 */
export function volumeShares(embeddings: readonly Float64Array[]): Float64Array {
  const dot = (a: Float64Array, b: Float64Array): number => a.reduce((s, x, d) => s + x * (b[d] as number), 0);
  const matrix = embeddings.map((a, i) => Float64Array.from(embeddings, (b, j) => dot(a, b) + (i === j ? 1 : 0)));
  return inverseDiagonal(matrix).map((x) => -Math.log(x));
}

/** Embeddings of samples: means of the reference's last hidden states over their tokens, less the mean of all samples, at length 1. */
async function embed(samples: readonly Sample[], { policy }: HostContext): Promise<Float64Array[]> {
  const sequences = scoredSegments(samples);
  const values = await policy.measure(sequences, hiddenStates, 'reference');
  const sums = samples.map(() => new Float64Array(0));
  const counts = new Float64Array(samples.length);
  for (const [i, { sample, tokens }] of sequences.entries())
    for (const row of rowsOf(values[i] as Float64Array, tokens.length)) {
      const before = sums[sample] as Float64Array;
      sums[sample] = row.map((x, d) => x + (before[d] ?? 0));
      counts[sample] = (counts[sample] as number) + 1;
    }
  const means = sums.map((own, n) => own.map((x) => x / Math.max(1, counts[n] as number)));
  const width = Math.max(0, ...means.map((m) => m.length));
  const centre = Float64Array.from({ length: width }, (_, d) => means.reduce((s, m) => s + (m[d] ?? 0), 0) / means.length);
  return means.map((m) => {
    const away = centre.map((c, d) => (m[d] ?? 0) - c);
    const norm = Math.sqrt(away.reduce((s, x) => s + x * x, 0));
    return away.map((x) => (norm > 1e-12 ? x / norm : 0));
  });
}

/** Adds dqo_alpha times what each sample adds to the volume of its group. */
export const withVolume = (inner: Reward): Reward => ({
  ...inner,
  name: `${inner.name}+volume`,
  defaults: { ...inner.defaults, dqo_alpha: 0.5 },
  needs: (settings) => [...(typeof inner.needs === 'function' ? inner.needs(settings) : (inner.needs ?? [])), 'reference'],
  score: async (samples, context) => {
    const scored = await inner.score(samples, context.of(inner));
    const embeddings = await embed(scored, context);
    const groups = new Map<string, number[]>();
    for (const [n, { group }] of scored.entries()) groups.set(group, [...(groups.get(group) ?? []), n]);
    const share = new Float64Array(scored.length);
    for (const own of groups.values()) {
      const values = volumeShares(own.map((n) => embeddings[n] as Float64Array));
      for (const [i, n] of own.entries()) share[n] = values[i] as number;
    }
    const alpha = context.number('dqo_alpha');
    return scored.map((sample, n) => {
      const value = alpha * (share[n] as number);
      return { ...sample, reward: sample.reward + value, rewards: { ...sample.rewards, volume: value } };
    });
  },
});
