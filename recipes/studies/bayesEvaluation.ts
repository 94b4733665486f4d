import { bayesAtN } from '../../src/evaluate/bayes.js';
import { normalQuantile } from '../../src/evaluate/bootstrap.js';
import { passAtK } from '../../src/evaluate/sampling.js';
import { estimate, pairedDifference } from '../../src/evaluate/statistics.js';
import { foldIn, keyWords, randomKey, threefryBits } from '../../src/tensor/random/threefry.js';
import { runIfMain, type Study, withInterval } from './study.js';

// Hariri et al. 2025, "Don't Pass@k", arXiv:2510.04265 (catalogue P215): the posterior mean ranks models as avg@N does and sooner than pass@k, and its
// intervals say which differences are real.

const name = 'bayesEvaluation';
const models = 11;
const items = 30;
const sizes = [1, 2, 4, 8, 16, 32, 64] as const;
const ks = [2, 4, 8] as const;
const repetitions = 100;

/** Where success rates lie: uniform in [0, 1], as the prior has it, or logistic(ability - difficulty + shift). */
const worlds: Readonly<Record<string, number | null>> = { uniform: null, even: 0, hard: -3 };

const most = Math.max(...sizes);
const logistic = (x: number): number => 1 / (1 + Math.exp(-x));
const place = (i: number, n: number): number => normalQuantile((i + 0.5) / n);

/** Uniform numbers of a key. */
const uniforms = (seed: number, n: number): Float64Array =>
  Float64Array.from(threefryBits(keyWords(foldIn(randomKey(215), seed)), n), (word) => (word + 0.5) / 2 ** 32);

/** Success rates [models][items]: abilities half a deviation wide, difficulties one and a half, and what is particular to a model and an item a half. */
function rates(shift: number | null, seed: number): number[][] {
  const own = uniforms(seed, models * items);
  return Array.from({ length: models }, (_, m) =>
    Array.from({ length: items }, (__, i) => {
      const u = own[m * items + i] as number;
      return shift === null ? u : logistic(shift + 0.5 * place(m, models) - 1.5 * place(i, items) + 0.5 * normalQuantile(u));
    }),
  );
}

const meanOf = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;

/** Kendall's tau-b: agreement of two rankings, ties taken out of both. */
function kendallTau(x: readonly number[], y: readonly number[]): number {
  let [agree, tiedX, tiedY, pairs] = [0, 0, 0, 0];
  for (let i = 0; i < x.length; i++)
    for (let j = 0; j < i; j++) {
      const [a, b] = [Math.sign((x[i] as number) - (x[j] as number)), Math.sign((y[i] as number) - (y[j] as number))];
      agree += a * b;
      tiedX += a === 0 ? 1 : 0;
      tiedY += b === 0 ? 1 : 0;
      pairs++;
    }
  const scale = Math.sqrt((pairs - tiedX) * (pairs - tiedY));
  return scale === 0 ? 0 : agree / scale;
}

/** Differences below a billionth are ties: sums of equal numbers in another order. */
const rounded = (values: readonly number[]): number[] => values.map((v) => Math.round(v * 1e9));

interface Measured {
  /** tau to the true order, by estimator */
  readonly tau: Readonly<Record<string, number>>;
  /** share of models whose interval holds their true rate */
  readonly coverage: number;
  /** share of pairs of models whose intervals do not overlap, and how many of these stand in the wrong order */
  readonly declared: number;
  readonly wrong: number;
}

/** One repetition at N trials an item; the trials of smaller N are the first of those of larger N. */
function measure(truth: readonly number[][], draws: Float64Array, n: number): Measured {
  const trueMeans = truth.map(meanOf);
  const outcomes = truth.map((own, m) =>
    own.map((p, i) => Array.from({ length: n }, (_, t) => ((draws[(m * items + i) * most + t] as number) < p ? 1 : 0))),
  );
  const counts = outcomes.map((own) => own.map((trials) => trials.reduce<number>((a, b) => a + b, 0)));
  const posteriors = outcomes.map((own) => bayesAtN(own));
  const scores: Record<string, number[]> = {
    'bayes@N': posteriors.map(({ mean }) => mean),
    'avg@N': counts.map((own) => meanOf(own) / n),
    ...Object.fromEntries(
      ks.filter((k) => k <= n).map((k) => [`pass@${k}`, counts.map((own) => meanOf(own.map((c) => passAtK(n, c, k))))]),
    ),
  };
  let [declared, wrong, pairs] = [0, 0, 0];
  for (const [a, x] of posteriors.entries())
    for (const [b, y] of posteriors.entries()) {
      if (a === b) continue;
      pairs++;
      if (x.low <= y.high) continue;
      declared++;
      if ((trueMeans[a] as number) < (trueMeans[b] as number)) wrong++;
    }
  return {
    tau: Object.fromEntries(Object.entries(scores).map(([id, values]) => [id, kendallTau(rounded(values), trueMeans)])),
    coverage: meanOf(posteriors.map(({ low, high }, m) => ((trueMeans[m] as number) >= low && (trueMeans[m] as number) <= high ? 1 : 0))),
    declared: declared / (pairs / 2),
    wrong,
  };
}

const interval = (values: readonly number[]): string => {
  const { mean, low, high } = estimate(values);
  return withInterval({ value: mean, low, high });
};

/** Does Bayes@N find the order of models sooner than pass@k, and do its intervals hold the truth? */
export async function bayesEvaluation(): Promise<Study> {
  const measured = Object.entries(worlds).flatMap(([world, shift], w) =>
    sizes.map((n) => ({
      world,
      n,
      runs: Array.from({ length: repetitions }, (_, r) => {
        const seed = w * 1e6 + r * 2;
        return measure(rates(shift, seed), uniforms(seed + 1, models * items * most), n);
      }),
    })),
  );
  const taus = (runs: readonly Measured[], id: string): number[] => runs.map(({ tau }) => tau[id] ?? Number.NaN);
  const table = measured.map(({ world, n, runs }) => ({
    world,
    N: n,
    ...Object.fromEntries(
      ['bayes@N', 'avg@N', ...ks.map((k) => `pass@${k}`)].map((id) => [
        id,
        runs[0]?.tau[id] === undefined ? null : interval(taus(runs, id)),
      ]),
    ),
    coverage: meanOf(runs.map((r) => r.coverage)),
    declared: meanOf(runs.map((r) => r.declared)),
    'wrong of declared':
      runs.reduce((s, r) => s + r.wrong, 0) /
      Math.max(
        1,
        runs.reduce((s, r) => s + (r.declared * models * (models - 1)) / 2, 0),
      ),
  }));
  const differences = measured.flatMap(({ world, n, runs }) =>
    ks.filter((k) => k <= n).map((k) => ({ world, n, k, difference: pairedDifference(taus(runs, `pass@${k}`), taus(runs, 'bayes@N')) })),
  );
  const same = measured.every(({ runs }) => runs.every(({ tau }) => tau['bayes@N'] === tau['avg@N']));
  const ahead = differences.filter(({ difference }) => difference.low > 0);
  const behind = differences.filter(({ difference }) => difference.high < 0);
  const coverage = (world: string): string =>
    table
      .filter((row) => row.world === world)
      .map((row) => `${row.coverage.toFixed(2)} at N = ${row.N}`)
      .join(', ');
  const holds = table.filter((row) => row.coverage >= 0.93);
  const ranksBetter = ahead.length > behind.length && behind.length === 0;
  return {
    name,
    seed: 'P215',
    paper: 'arXiv:2510.04265',
    question: 'Does Bayes@N find the order of models sooner than pass@k, and do its intervals hold the truth?',
    verdict: ranksBetter && same ? (holds.length === table.length ? 'yes' : 'in part') : behind.length > ahead.length ? 'no' : 'in part',
    answer:
      `Kendall's tau to the true order is higher for Bayes@N than for pass@k in ${ahead.length} of ${differences.length} cases and lower in ${behind.length} ` +
      `(95% intervals over ${repetitions} simulations); Bayes@N and avg@N ${same ? 'give the same order throughout' : 'give different orders'}. ` +
      `Intervals of 95% hold the truth with ${Object.keys(worlds)
        .map((w) => `${coverage(w)} in the world ${w}`)
        .join('; ')}.`,
    settings: {
      models,
      items,
      repetitions,
      worlds,
      credibility: 0.95,
      success_rate: 'uniform, or logistic(shift + 0.5 z_model - 1.5 z_item + 0.5 noise)',
      note: 'coverage is judged to hold from 0.93 on',
    },
    seeds: Array.from({ length: repetitions }, (_, r) => r),
    table,
    details: { differences },
  };
}

await runIfMain(import.meta.url, bayesEvaluation);
