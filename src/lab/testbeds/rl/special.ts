import { splitConfidence, type TaskDataset, type TaskViewForm, taskView } from '../../../data/tasks/index.js';
import { hashUnit } from '../../../data/tasks/split.js';
import { brierScore, expectedCalibrationError, type Forecast } from '../../../evaluate/calibration.js';
import type { NamedReward, PromptRow } from '../../../train/rl/index.js';
import { corpusContext, judgeValues, labelledParity, rightToLeft } from '../../bases/forms.js';
import { earlyBase, modesBase, verboseBase } from '../../bases/index.js';
import { confidentBase, divisionBase, labelledBase, thoughtsBase, twoFormsBase } from '../../bases/special.js';
import { budget, level, make, type Split } from './about.js';
import type { EvaluatedCompletion, EvaluationSet } from './evaluate.js';
import { exactReward, type Problems, type TaskProblemsOptions, taskProblems } from './problems.js';
import type { RlTestbedAbout } from './testbed.js';

/** Testbeds for methods that need problems, base models, reward functions or ways of decoding of their own. */

/** Problems of one task in another form, to train on and to be measured on. */
function formData(
  task: string,
  [from, to]: readonly [number, number],
  form: TaskViewForm | undefined,
  options: TaskProblemsOptions,
  set: Omit<EvaluationSet, 'name' | 'problems' | 'samples'>,
): RlTestbedAbout['data'] {
  const of = (split: Split): Problems => {
    const dataset: TaskDataset = level(task, from, to, split);
    return taskProblems([form ? taskView(dataset, form) : dataset], options);
  };
  return () => ({ train: of('train'), evaluation: [{ name: '', problems: of('test'), samples: 8, ...set }] });
}

const chain = 'chain-arithmetic';
const upTo = (max_completion_length: number) => ({ max_completion_length, beta: 0 });

/** What completions say about themselves. Without a readable confidence the forecast counts as the worst one, so that nobody gains by saying nothing. */
export const forecasts = (completions: readonly EvaluatedCompletion[]): Forecast[] =>
  completions.map(({ text, score }) => {
    const correct = score >= 1;
    return { confidence: splitConfidence(text).confidence ?? (correct ? 0 : 1), correct };
  });

/** Answers are judged without the confidence behind them. */
const confident: TaskViewForm = {
  name: 'confidence behind the answer',
  read: (completion) => splitConfidence(completion).text,
};

const calibrated = make({
  id: 'calibrated-arithmetic',
  summary: 'chain arithmetic of 3 to 6 operations with a stated confidence, at first a random one: the Brier score of what is said',
  metric: 'brier',
  better: 'lower',
  base: confidentBase,
  data: formData(
    chain,
    [3, 6],
    confident,
    {},
    {
      max_completion_length: 56,
      metrics: { brier: (all) => brierScore(forecasts(all)), ece: (all) => expectedCalibrationError(forecasts(all)) },
    },
  ),
  args: budget(95_000),
  settings: upTo(56),
});

/**
 * A dense score of a completion, as an imperfect reward model would give it: 0.1, up to 0.5 for the share of the solution's steps that are right before the first
 * wrong one, up to 0.2 for length, right or wrong, and up to 0.2 of noise that depends on the text alone. It does not look at the answer.
 */
export function denseScore(completion: string, steps: readonly string[], most: number): number {
  const written = (completion.split('#')[0] as string).split(';');
  const wrong = steps.findIndex((step, i) => written[i]?.trim() !== step);
  const share = (wrong < 0 ? steps.length : wrong) / steps.length;
  return 0.1 + 0.5 * share + 0.2 * Math.min(1, completion.length / most) + 0.2 * hashUnit(`noise ${completion}`);
}

const dense = (most: number): NamedReward => ({
  name: 'model',
  score: (_, completions, { steps }) => completions.map((text, i) => denseScore(text, steps?.[i] as string[], most)),
});

const denseReward = make({
  id: 'arithmetic-dense-reward',
  summary:
    'chain arithmetic of 2 and 3 operations with two reward functions: the exact verifier, and a dense scorer that is noisy and likes length',
  metric: 'pass@1',
  base: earlyBase,
  data: formData(chain, [2, 3], undefined, {}, { max_completion_length: 40 }),
  rewards: (train) => [exactReward(train), dense(40)],
  args: budget(100_000),
  settings: upTo(40),
});

const paraphrase = make({
  id: 'arithmetic-paraphrase',
  summary:
    'chain arithmetic of 3 operations without labels, each problem also from right to left; the base errs at differences in one form and at sums in the other',
  metric: 'pass@1',
  base: twoFormsBase,
  data: formData(
    chain,
    [3, 3],
    undefined,
    { change: (row): PromptRow => ({ ...row, paraphrase: rightToLeft(row.prompt) }) },
    {
      max_completion_length: 40,
    },
  ),
  args: budget(100_000),
  settings: upTo(40),
});

/** Right where the prediction behind the first # begins as the corpus goes on. */
const corpus: TaskViewForm = {
  name: 'cut within the answer',
  entry: corpusContext,
  extract: (completion) => completion.slice(completion.indexOf('#')).charAt(1) || null,
};

const nextToken = make({
  id: 'next-token-reasoning',
  summary:
    'a corpus of chain arithmetic with answers: the next character of an answer, behind a thought of which the base may leave out any part',
  metric: 'pass@1',
  base: thoughtsBase,
  data: formData(
    chain,
    [4, 5],
    corpus,
    { change: (row): PromptRow => ({ ...row, demonstration: `#${row.answer}` }) },
    { max_completion_length: 48 },
  ),
  args: budget(100_000),
  settings: upTo(48),
});

/** what a token costs in think-modes, in right answers */
export const tokenPrice = 0.01;

/** Completions are judged without the mode that they begin with. */
const withMode: TaskViewForm = { name: 'modes', read: (completion) => completion.replace(/^[!.]/, '') };

const thinkModes = make({
  id: 'think-modes',
  summary: `chain arithmetic of 1 to 6 operations by a base that thinks (!) or answers at once (.): right answers minus ${tokenPrice} a token`,
  metric: 'utility',
  base: modesBase,
  data: formData(chain, [1, 6], withMode, {}, { max_completion_length: 56 }),
  derived: (metrics) => ({ utility: (metrics['pass@1'] as number) - tokenPrice * (metrics.length as number) }),
  args: budget(110_000),
  settings: upTo(56),
});

const divided: TaskViewForm = { name: 'values alone', judgeSteps: judgeValues };

const divideAndConquer = make({
  id: 'divide-and-conquer',
  summary:
    'chain arithmetic of 3 and 4 operations by a base that solves it part by part, with or without having divided it before; parts may be too large',
  metric: 'pass@1',
  base: divisionBase,
  data: formData(chain, [3, 4], divided, {}, { max_completion_length: 48 }),
  args: budget(90_000),
  settings: upTo(48),
});

/** budgets of thinking-budgets, in tokens; half of each is for the thought */
const budgets = [40, 64, 88] as const;

const thinkingBudgets = make({
  id: 'thinking-budgets',
  summary:
    'chain arithmetic of 2 and 3 operations by a base that writes redundant checks: mean pass@1 at thoughts that are cut after 20, 32 and 44 tokens',
  metric: 'budgeted',
  base: verboseBase,
  data: () => {
    const problems = taskProblems([level(chain, 2, 3, 'test')]);
    const cut = budgets.map(
      (most): EvaluationSet => ({
        name: `budget ${most}`,
        problems,
        samples: 4,
        max_completion_length: most,
        decode: { spec: 'grpo+elastic-reasoning', settings: { thinking_share: 0.5, solution_share: 0.5 } },
      }),
    );
    return { train: taskProblems([level(chain, 2, 3, 'train')]), evaluation: cut };
  },
  derived: (metrics) => ({
    budgeted: budgets.reduce((sum, most) => sum + (metrics[`budget ${most}/pass@1`] as number), 0) / budgets.length,
  }),
  args: budget(110_000),
  settings: upTo(64),
});

const parityChunks = make({
  id: 'parity-chunks',
  summary:
    'parity of 5 to 8 bits with a letter for every bit, so that the last steps are enough to go on from; a right answer needs right steps',
  metric: 'pass@1',
  base: labelledBase,
  data: formData('parity', [5, 8], { name: 'labelled', entry: labelledParity }, { strict: true }, { max_completion_length: 32 }),
  args: budget(110_000),
  settings: upTo(32),
});

/** Testbeds for methods with needs of their own. */
export const specialAbouts: readonly RlTestbedAbout[] = [
  calibrated,
  denseReward,
  paraphrase,
  nextToken,
  thinkModes,
  divideAndConquer,
  thinkingBudgets,
  parityChunks,
];
