import { permutation } from '../data/stream/permutation.js';
import type { NDArray } from '../tensor/array.js';
import { VitroError } from '../tensor/errors.js';
import { foldIn } from '../tensor/random/threefry.js';

/**
 * How much better the first of two responses to a prompt is: 1 if it wins, 0 if the second does, between for a tie or a probability. `sample` numbers
 * repeated questions about one pair, for judges that draw.
 */
export type PairwiseJudge<R> = (prompt: string, first: R, second: R, sample: number) => Promise<number>;

/** What a selection found, and what it cost. */
export interface Selection {
  /** number of the chosen response */
  readonly best: number;
  /** questions put to the judge */
  readonly calls: number;
}

export interface Ratings extends Selection {
  /** strength of every response; higher is better */
  readonly ratings: readonly number[];
}

function checkResponses(responses: readonly unknown[]): void {
  if (responses.length === 0) throw new VitroError('there are no responses to choose from');
}

/** Asks several times, each response first in turn, and gives the first one's share of the wins (a probability counts as such). */
export function majority<R>(judge: PairwiseJudge<R>, votes: number): PairwiseJudge<R> {
  if (!(Number.isSafeInteger(votes) && votes > 0)) throw new VitroError(`votes must be a positive whole number, got ${votes}`);
  return async (prompt, first, second, sample) => {
    let won = 0;
    for (let i = 0; i < votes; i++) {
      const number = sample * votes + i;
      const turned = i % 2 === 1;
      const share = turned ? 1 - (await judge(prompt, second, first, number)) : await judge(prompt, first, second, number);
      won += share > 0.5 ? 1 : share < 0.5 ? 0 : 0.5;
    }
    return won / votes;
  };
}

/**
 * Knockout tournament (Guo et al. 2025, "Reward Reasoning Model", arXiv:2505.14674): pairs in a random order, winners go on; n - 1 questions for n
 * responses. Ties go to the response that came first in the draw; with an odd number, the last one goes on unopposed.
 */
export async function knockout<R>(
  prompt: string,
  responses: readonly R[],
  judge: PairwiseJudge<R>,
  { key }: { readonly key: NDArray },
): Promise<Selection & { readonly rounds: readonly (readonly number[])[] }> {
  checkResponses(responses);
  const order = permutation(key, responses.length);
  let field = responses.map((_, i) => order(i));
  const rounds: (readonly number[])[] = [field];
  let calls = 0;
  while (field.length > 1) {
    const pairs = Array.from({ length: Math.floor(field.length / 2) }, (_, i) => [field[2 * i], field[2 * i + 1]] as [number, number]);
    const shares = await Promise.all(pairs.map(([a, b], i) => judge(prompt, responses[a] as R, responses[b] as R, calls + i)));
    calls += pairs.length;
    const winners = pairs.map(([a, b], i) => ((shares[i] as number) >= 0.5 ? a : b));
    field = field.length % 2 === 1 ? [...winners, field.at(-1) as number] : winners;
    rounds.push(field);
  }
  return { best: field[0] as number, calls, rounds };
}

/** Every pair once, in a random order of first and second: wins[i][j] is i's share against j. */
export async function roundRobin<R>(
  prompt: string,
  responses: readonly R[],
  judge: PairwiseJudge<R>,
  { key }: { readonly key: NDArray },
): Promise<{ readonly wins: readonly (readonly number[])[]; readonly calls: number }> {
  checkResponses(responses);
  const n = responses.length;
  const wins = Array.from({ length: n }, () => new Array<number>(n).fill(0));
  const pairs = responses.flatMap((_, i) => Array.from({ length: n - 1 - i }, (_, k) => [i, i + 1 + k] as [number, number]));
  const side = (p: number): boolean => permutation(foldIn(key, p), 2)(0) === 1;
  const shares = await Promise.all(
    pairs.map(([i, j], p) => {
      const [a, b] = side(p) ? [j, i] : [i, j];
      return judge(prompt, responses[a] as R, responses[b] as R, p);
    }),
  );
  pairs.forEach(([i, j], p) => {
    const share = side(p) ? 1 - (shares[p] as number) : (shares[p] as number);
    (wins[i] as number[])[j] = share;
    (wins[j] as number[])[i] = 1 - share;
  });
  return { wins, calls: pairs.length };
}

/**
 * Elo ratings (mean 0) that make the wins most likely under P(i beats j) = 1 / (1 + 10^((r_j - r_i) / 400)), by Zermelo's iteration (Hunter 2004, "MM
 * algorithms for generalized Bradley-Terry models"). `prior` ties between every two keep the ratings finite.
 */
export function eloRatings(wins: readonly (readonly number[])[], { prior = 0.5 }: { readonly prior?: number } = {}): number[] {
  const n = wins.length;
  if (n < 2) return wins.map(() => 0);
  const games = (i: number, j: number): number => (wins[i]?.[j] ?? 0) + (wins[j]?.[i] ?? 0) + prior;
  let strength = new Array<number>(n).fill(1);
  for (let round = 0; round < 10_000; round++) {
    const next = strength.map((s, i) => {
      let [won, expected] = [0, 0];
      for (let j = 0; j < n; j++) {
        if (j === i) continue;
        won += (wins[i]?.[j] ?? 0) + prior / 2;
        expected += games(i, j) / (s + (strength[j] as number));
      }
      return won / expected;
    });
    const scale = Math.exp(next.reduce((s, x) => s + Math.log(x), 0) / n);
    const scaled = next.map((x) => x / scale);
    const change = Math.max(...scaled.map((x, i) => Math.abs(Math.log(x / (strength[i] as number)))));
    strength = scaled;
    if (change < 1e-10) break;
  }
  return strength.map((s) => 400 * Math.log10(s));
}

const bestOf = (ratings: readonly number[]): number => ratings.indexOf(Math.max(...ratings));

/** Every pair is judged; the highest Elo rating wins (RRM, arXiv:2505.14674). n (n - 1) / 2 questions. */
export async function eloTournament<R>(
  prompt: string,
  responses: readonly R[],
  judge: PairwiseJudge<R>,
  options: { readonly key: NDArray; readonly prior?: number },
): Promise<Ratings> {
  const { wins, calls } = await roundRobin(prompt, responses, judge, options);
  const ratings = eloRatings(wins, options);
  return { best: bestOf(ratings), calls, ratings };
}

/** Every pair is judged; the response with the most wins is chosen, among equals the first. n (n - 1) / 2 questions. */
export async function mostWins<R>(
  prompt: string,
  responses: readonly R[],
  judge: PairwiseJudge<R>,
  options: { readonly key: NDArray },
): Promise<Ratings> {
  const { wins, calls } = await roundRobin(prompt, responses, judge, options);
  const ratings = wins.map((row) => row.reduce((a, b) => a + b, 0));
  return { best: bestOf(ratings), calls, ratings };
}

/** A judge that compares scores, e.g. of a reward model: the chance under the Bradley-Terry model. */
export const scoreJudge =
  <R>(score: (prompt: string, response: R) => Promise<number>): PairwiseJudge<R> =>
  async (prompt, first, second) => {
    const [a, b] = await Promise.all([score(prompt, first), score(prompt, second)]);
    return 1 / (1 + Math.exp(b - a));
  };
