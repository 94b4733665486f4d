import { VitroError } from '../tensor/errors.js';
import { type BootstrapOptions, bootstrapMean, type Interval, pairedBootstrap } from './bootstrap.js';

/**
 * pass@k of one item, unbiased: 1 - C(n-c, k)/C(n, k), the chance that k of its n samples, drawn without replacement, hold one of the c right ones (Chen et al.
 * 2021, arXiv:2107.03374, eq. 1).
 * @throws VitroError unless 0 <= c <= n and 1 <= k <= n
 */
export function passAtK(n: number, c: number, k: number): number {
  if (![n, c, k].every(Number.isInteger) || c < 0 || c > n || k < 1 || k > n)
    throw new VitroError(
      `passAtK: needs integers with 0 <= c <= n and 1 <= k <= n, got n ${n}, c ${c}, k ${k}; sample at least k completions an item`,
    );
  let miss = 1;
  for (let i = n - c + 1; i <= n; i++) miss *= Math.max(0, 1 - k / i);
  return 1 - miss;
}

/** One sampled completion of an item, judged. */
export interface JudgedSample {
  /** the final answer in a form in which equal answers are equal texts; null where none was given */
  readonly answer: string | null;
  readonly correct: boolean;
  /** whether every step of the chain is right, by a step checker */
  readonly chainCorrect?: boolean;
}

/** The samples of one item. */
export type ItemSamples = readonly JudgedSample[];

function checkItems(what: string, items: readonly ItemSamples[]): void {
  if (items.length === 0 || items.some((samples) => samples.length === 0))
    throw new VitroError(`${what}: needs items with at least one sample each`);
}

const countOf = (samples: ItemSamples, right: (sample: JudgedSample) => boolean): number => samples.filter(right).length;

/** pass@k of every item. */
export const passAtKScores = (items: readonly ItemSamples[], k: number): number[] =>
  items.map((samples) =>
    passAtK(
      samples.length,
      countOf(samples, (s) => s.correct),
      k,
    ),
  );

/**
 * CoT-pass@k of every item: a sample counts only where answer and chain are both right (Wen et al. 2025, arXiv:2506.14245; catalogue P298), with the same unbiased
 * estimator.
 */
export function cotPassAtKScores(items: readonly ItemSamples[], k: number): number[] {
  return items.map((samples, item) => {
    if (samples.some((s) => s.chainCorrect === undefined))
      throw new VitroError(
        `cotPassAtKScores: a sample of item ${item} was not judged step by step; set chainCorrect, e.g. by chainIsRight`,
      );
    return passAtK(
      samples.length,
      countOf(samples, (s) => s.correct && s.chainCorrect === true),
      k,
    );
  });
}

/** Share of right samples of every item (avg@n). */
export const avgAtNScores = (items: readonly ItemSamples[]): number[] =>
  items.map((samples) => countOf(samples, (s) => s.correct) / samples.length);

export interface MajorityVote {
  /** the most frequent answers: several where the vote is a tie, none where no sample gave an answer */
  readonly leaders: readonly string[];
  readonly votes: number;
  /** expected correctness when a tie is broken evenly: the share of leaders that are right */
  readonly score: number;
}

/** The vote among one item's samples; those without an answer abstain. */
export function majorityVote(samples: ItemSamples): MajorityVote {
  const votes = new Map<string, { count: number; correct: boolean }>();
  for (const { answer, correct } of samples) {
    if (answer === null) continue;
    const entry = votes.get(answer) ?? { count: 0, correct };
    if (entry.correct !== correct)
      throw new VitroError(`majorityVote: the answer ${JSON.stringify(answer)} is judged both right and wrong`);
    votes.set(answer, { count: entry.count + 1, correct });
  }
  const most = Math.max(0, ...[...votes.values()].map((v) => v.count));
  const leaders = [...votes].filter(([, v]) => v.count === most);
  return {
    leaders: leaders.map(([answer]) => answer),
    votes: most,
    score: leaders.length ? leaders.filter(([, v]) => v.correct).length / leaders.length : 0,
  };
}

/** maj@n of every item. */
export const majAtNScores = (items: readonly ItemSamples[]): number[] => items.map((samples) => majorityVote(samples).score);

export interface SamplingReport {
  /** by metric name: pass@k, cot_pass@k, avg@n, maj@n */
  readonly metrics: Readonly<Record<string, Interval>>;
  /** share of items whose vote was a tie */
  readonly tied: number;
}

/** Every item's score under each metric: the values that intervals and paired comparisons are taken over. */
export function samplingScores(items: readonly ItemSamples[], ks: readonly number[]): Record<string, number[]> {
  checkItems('samplingScores', items);
  const judged = items.every((samples) => samples.every((s) => s.chainCorrect !== undefined));
  const n = items[0]?.length ?? 0;
  if (items.some((samples) => samples.length !== n)) throw new VitroError('samplingScores: all items need the same number of samples');
  return {
    ...Object.fromEntries(ks.map((k) => [`pass@${k}`, passAtKScores(items, k)])),
    ...(judged ? Object.fromEntries(ks.map((k) => [`cot_pass@${k}`, cotPassAtKScores(items, k)])) : {}),
    [`avg@${n}`]: avgAtNScores(items),
    [`maj@${n}`]: majAtNScores(items),
  };
}

/** The usual metrics of sampled completions, each with its bootstrap interval over items. CoT metrics appear where every sample was judged step by step. */
export function samplingReport(items: readonly ItemSamples[], ks: readonly number[], options?: BootstrapOptions): SamplingReport {
  const scores = samplingScores(items, ks);
  return {
    metrics: Object.fromEntries(Object.entries(scores).map(([name, values]) => [name, bootstrapMean(values, options)])),
    tied: items.filter((samples) => majorityVote(samples).leaders.length > 1).length / items.length,
  };
}

/** Treatment minus baseline of each metric over the same items in the same order, with paired bootstrap intervals. */
export function compareSampling(
  baseline: readonly ItemSamples[],
  treatment: readonly ItemSamples[],
  ks: readonly number[],
  options?: BootstrapOptions,
): Record<string, Interval> {
  const [before, after] = [samplingScores(baseline, ks), samplingScores(treatment, ks)];
  return Object.fromEntries(
    Object.entries(after).flatMap(([name, values]) => {
      const others = before[name];
      return others ? [[name, pairedBootstrap(others, values, options)] as const] : [];
    }),
  );
}
