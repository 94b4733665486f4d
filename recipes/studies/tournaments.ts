import { createDataset, extractAnswer, type TaskEntry } from '../../src/data/tasks/index.js';
import { bootstrapMean, type Interval, pairedBootstrap } from '../../src/evaluate/bootstrap.js';
import type { GenerativeJudge } from '../../src/evaluate/generativeJudge.js';
import { majorityVote } from '../../src/evaluate/sampling.js';
import { eloTournament, knockout, majority, mostWins, type PairwiseJudge } from '../../src/evaluate/tournament.js';
import { generate } from '../../src/infer/index.js';
import { type LoadedBase, loadBase, noisyBase } from '../../src/lab/bases/index.js';
import { foldIn, randomKey } from '../../src/tensor/random/threefry.js';
import { judgeOf, judging, trainedJudge } from './judge.js';
import { runIfMain, type Study, withInterval } from './study.js';

// Guo et al. 2025, arXiv:2505.14674 (catalogue S20): a judge of pairs chooses among many candidates by a knockout tournament or by Elo ratings, and votes
// several times on a pair. All take n (n - 1) / 2 questions here, apart from the plain knockout.

const name = 'tournaments';
const judges = 3;
const candidates = 8;
const problems = 96;
/** votes on a pair with which a knockout of 8 asks as often as every pair once does: 7 * 4 = 28 */
const votes = candidates / 2;

interface Problem {
  readonly entry: TaskEntry;
  readonly question: string;
  readonly answers: readonly string[];
}

/** Problems that no judge was trained on, with the policy's answers. */
async function sampled({ model, params, tokenizer }: LoadedBase): Promise<Problem[]> {
  const dataset = createDataset('chain-arithmetic', { size: problems, seed: 13, split: 'test', min_difficulty: 2, max_difficulty: 3 });
  const entries = Array.from({ length: problems }, (_, i) => dataset.entry(i));
  const completions = await generate({
    model,
    params,
    tokenizer,
    prompts: entries.map(({ prompt }) => tokenizer.encode(prompt)),
    n: candidates,
    max_completion_length: 48,
    stop_token_ids: tokenizer.eos_token_id === null ? [] : [tokenizer.eos_token_id],
    seed: 99,
    threads: 1,
  });
  return entries.map((entry, p) => ({
    entry,
    question: entry.prompt.slice(0, -1),
    answers: completions.slice(p * candidates, (p + 1) * candidates).map(({ text }) => extractAnswer(text) ?? ''),
  }));
}

type Choice = (
  problem: Problem,
  judge: PairwiseJudge<string>,
  number: number,
) => Promise<{ readonly best: number; readonly calls: number }>;

const keyOf = (number: number) => ({ key: foldIn(randomKey(20), number) });

const strategies: Readonly<Record<string, Choice>> = {
  knockout: ({ question, answers }, judge, i) => knockout(question, answers, judge, keyOf(i)),
  [`knockout, ${votes} votes`]: async ({ question, answers }, judge, i) => {
    const { best, calls } = await knockout(question, answers, majority(judge, votes), keyOf(i));
    return { best, calls: calls * votes };
  },
  elo: ({ question, answers }, judge, i) => eloTournament(question, answers, judge, keyOf(i)),
  'most wins': ({ question, answers }, judge, i) => mostWins(question, answers, judge, keyOf(i)),
};

interface Tried {
  /** whether the choice was right, by problem */
  readonly right: readonly number[];
  readonly calls: number;
  /** written by the judge, a problem */
  readonly tokens: number;
}

async function tried(choice: Choice, given: readonly Problem[], { judge, spent }: GenerativeJudge): Promise<Tried> {
  const before = spent.tokens;
  const chosen = await Promise.all(given.map((problem, i) => choice(problem, judge, i)));
  return {
    right: given.map(({ entry, answers }, i) => (answers[chosen[i]?.best as number] === entry.answer ? 1 : 0)),
    calls: chosen.reduce((n, { calls }) => n + calls, 0) / given.length,
    tokens: (spent.tokens - before) / given.length,
  };
}

/** Means over several lists, by place. */
const meanByPlace = (lists: readonly (readonly number[])[]): number[] =>
  (lists[0] ?? []).map((_, i) => lists.reduce((s, own) => s + (own[i] as number), 0) / lists.length);

/** What is chosen without a judge: a random answer, the most frequent one, a right one where there is one. */
const withoutJudge = (given: readonly Problem[]): Readonly<Record<string, number[]>> => {
  const shares = given.map(({ entry, answers }) => answers.filter((a) => a === entry.answer).length / answers.length);
  return {
    'any answer': shares,
    'most frequent answer': given.map(
      ({ entry, answers }) => majorityVote(answers.map((answer) => ({ answer, correct: answer === entry.answer }))).score,
    ),
    'a right one if there is one': shares.map((s) => (s > 0 ? 1 : 0)),
  };
};

/** Which tournament chooses best at equal numbers of questions, and does training the judge help? */
export async function tournaments(): Promise<Study> {
  const given = await sampled(await loadBase(noisyBase));
  const trained: GenerativeJudge[] = [];
  for (let seed = 0; seed < judges; seed++) {
    trained.push(judgeOf(await trainedJudge('rrm', seed), seed));
    console.error(`${new Date().toISOString()} judge ${seed} is trained`);
  }
  const untrained = [judgeOf(await loadBase(judging.base), 0)];
  const results: {
    readonly judge: string;
    readonly strategy: string;
    readonly right: number[];
    readonly calls: number;
    readonly tokens: number;
  }[] = [];
  for (const [judge, own] of Object.entries({ untrained, trained }))
    for (const [strategy, choice] of Object.entries(strategies)) {
      const runs: Tried[] = [];
      for (const one of own) runs.push(await tried(choice, given, one));
      const right = meanByPlace(runs.map((r) => r.right));
      const [calls, tokens] = [runs[0]?.calls ?? 0, meanByPlace(runs.map((r) => [r.tokens]))[0] ?? 0];
      results.push({ judge, strategy, right, calls, tokens });
      console.error(`${new Date().toISOString()} ${judge} ${strategy}`);
    }
  const rightOf = (judge: string, strategy: string): number[] =>
    results.find((r) => r.judge === judge && r.strategy === strategy)?.right ?? [];
  const reference = 'elo';
  const same = Object.keys(strategies).filter((s) => s !== 'knockout' && s !== reference);
  const against: Readonly<Record<string, Interval>> = Object.fromEntries(
    same.map((s) => [s, pairedBootstrap(rightOf('trained', reference), rightOf('trained', s))]),
  );
  const training = Object.fromEntries(
    Object.keys(strategies).map((s) => [s, pairedBootstrap(rightOf('untrained', s), rightOf('trained', s))]),
  );
  const frequent = withoutJudge(given)['most frequent answer'] as number[];
  const overVote = Object.fromEntries(Object.keys(strategies).map((s) => [s, pairedBootstrap(frequent, rightOf('trained', s))]));
  const helps = Object.values(training).filter(({ low }) => low > 0).length;
  const beats = Object.values(overVote).filter(({ low }) => low > 0).length;
  const total = Object.keys(strategies).length;
  return {
    name,
    seed: 'S20',
    paper: 'arXiv:2505.14674',
    question: 'Which tournament chooses best at equal numbers of questions, and does training the judge help?',
    verdict: helps === total && beats === total ? 'yes' : helps + beats > 0 ? 'in part' : 'open',
    answer:
      `Training the judge raises the share of right choices in ${helps} of ${total} tournaments; the trained judge beats the most frequent answer in ${beats} of ${total}. ` +
      `At 28 questions, against Elo: ${Object.entries(against)
        .map(([s, difference]) => `${s} ${withInterval(difference)}`)
        .join(', ')} (yes = training helps and the judge beats the vote in every tournament).`,
    settings: {
      testbed: judging.id,
      method: 'rrm',
      candidates,
      problems,
      policy: noisyBase.id,
      intervals: 'bootstrap over problems of the mean over judges',
    },
    seeds: Array.from({ length: judges }, (_, i) => i),
    table: [
      ...Object.entries(withoutJudge(given)).map(([strategy, right]) => ({
        judge: 'none',
        strategy,
        questions: 0,
        'judge tokens': 0,
        right: withInterval(bootstrapMean(right)),
        'against the most frequent': withInterval(pairedBootstrap(frequent, right)),
      })),
      ...results.map(({ judge, strategy, right, calls, tokens }) => ({
        judge,
        strategy,
        questions: calls,
        'judge tokens': tokens,
        right: withInterval(bootstrapMean(right)),
        'against the most frequent': withInterval(pairedBootstrap(frequent, right)),
      })),
    ],
    details: { against_elo: against, trained_against_untrained: training, against_most_frequent: overVote },
  };
}

await runIfMain(import.meta.url, tournaments);
