import { VitroError } from '../tensor/errors.js';
import { normalQuantile } from './bootstrap.js';

export interface BayesOptions {
  /** score of each category; default [0, 1], for outcomes 0 (wrong) and 1 (right) */
  readonly weights?: readonly number[];
  /** earlier outcomes of the same items [M, D], counted like observations */
  readonly prior?: readonly (readonly number[])[];
  /** default 0.95 */
  readonly credibility?: number;
}

export interface BayesEstimate {
  /** posterior mean of the weighted score, averaged over items */
  readonly mean: number;
  /** posterior standard deviation */
  readonly sd: number;
  /** credible interval, normal approximation, cut to the range of the weights */
  readonly low: number;
  readonly high: number;
}

function checkOutcomes(rows: readonly (readonly number[])[], categories: number): number {
  const n = rows[0]?.length ?? 0;
  for (const [item, row] of rows.entries()) {
    if (row.length !== n) throw new VitroError(`bayesAtN: item ${item} has ${row.length} outcomes and item 0 has ${n}; all need as many`);
    const bad = row.find((r) => !(Number.isInteger(r) && r >= 0 && r < categories));
    if (bad !== undefined)
      throw new VitroError(
        `bayesAtN: outcome ${bad} of item ${item} must be a category from 0 to ${categories - 1}; weights has ${categories}`,
      );
  }
  return n;
}

// Bayes@N: Hariri et al. 2025, "Don't Pass@k" (arXiv:2510.04265; catalogue P215)
//   nu_ak = 1 + n_ak + n0_ak, T = sum_k nu_ak = 1 + C + D + N
//   mean = 1/M sum_a sum_k w_k nu_ak / T
//   sd^2 = 1/(M^2 (T+1)) sum_a [ sum_k w_k^2 nu_ak/T - (sum_k w_k nu_ak/T)^2 ]
/**
 * Bayes@N: outcomes [M items, N samples] are categories 0..C with a uniform Dirichlet prior for each item; the posterior of the mean weighted score has closed
 * moments. Two models differ where their intervals do not overlap.
 */
export function bayesAtN(outcomes: readonly (readonly number[])[], options: BayesOptions = {}): BayesEstimate {
  const { weights = [0, 1], prior = outcomes.map(() => []), credibility = 0.95 } = options;
  const items = outcomes.length;
  if (items === 0) throw new VitroError('bayesAtN: needs at least one item');
  if (prior.length !== items) throw new VitroError(`bayesAtN: prior has ${prior.length} items and outcomes ${items}`);
  const total = weights.length + checkOutcomes(outcomes, weights.length) + checkOutcomes(prior, weights.length);
  let [mean, variance] = [0, 0];
  for (const [a, row] of outcomes.entries()) {
    const counts = weights.map(() => 1);
    for (const r of [...row, ...(prior[a] ?? [])]) counts[r] = (counts[r] as number) + 1;
    const first = counts.reduce((sum, nu, k) => sum + ((weights[k] as number) * nu) / total, 0);
    const second = counts.reduce((sum, nu, k) => sum + ((weights[k] as number) - first) ** 2 * (nu / total), 0);
    mean += first / items;
    variance += second / (items ** 2 * (total + 1));
  }
  const sd = Math.sqrt(variance);
  const z = normalQuantile((1 + credibility) / 2);
  return { mean, sd, low: Math.max(Math.min(...weights), mean - z * sd), high: Math.min(Math.max(...weights), mean + z * sd) };
}
