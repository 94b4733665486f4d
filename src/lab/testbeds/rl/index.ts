import { countdownSolutions, type TaskEntry } from '../../../data/tasks/index.js';
import type { PromptRow } from '../../../train/rl/index.js';
import { noisyBase, verboseBase } from '../../bases/index.js';
import { foreignSolution } from '../../bases/styles.js';
import type { Testbed } from '../testbed.js';
import { type About, budget, level, long, make, middle, type Split, short, sixtySteps, taskData } from './about.js';
import type { EvaluationSet } from './evaluate.js';
import { pairwiseJudging } from './judging.js';
import { taskProblems } from './problems.js';
import { specialAbouts } from './special.js';
import { type RlTestbedAbout, rlTestbed } from './testbed.js';

const countdown: About = {
  id: 'countdown-s',
  summary: 'reach a target from three numbers: 60 steps of 8 problems and 8 completions, or 90k generated tokens',
  metric: 'pass@1',
  data: taskData('countdown', [3, 3], { max_completion_length: 40 }),
  args: sixtySteps(90_000),
  settings: short,
};

const arithmetic = { metric: 'pass@1', base: noisyBase, args: sixtySteps(120_000), settings: middle } as const;

/** At least three different ways to the target. */
const hasWays = ({ metadata }: TaskEntry): boolean =>
  countdownSolutions(metadata.numbers as number[], metadata.target as number).length >= 3;

const diverse: RlTestbedAbout['data'] = () => {
  const kept = (split: Split, limit: number) =>
    taskProblems([level('countdown', 3, 3, split, split === 'train' ? 4000 : 600)], { keep: hasWays, limit });
  return {
    train: kept('train', 1000),
    evaluation: [{ name: '', problems: kept('test', 64), samples: 16, max_completion_length: 40 }],
  };
};

const withDemonstration = (row: PromptRow): PromptRow => ({
  ...row,
  demonstration: foreignSolution({ solution: row.solution as string, answer: row.answer as string }),
});

const olds = (): EvaluationSet => ({
  name: 'old',
  problems: taskProblems([level('chain-arithmetic', 3, 3, 'test', 64)]),
  samples: 8,
  max_completion_length: 48,
});

/** Every testbed of reinforcement learning as it is described. */
export const rlAbouts: readonly RlTestbedAbout[] = [
  make(countdown),
  make({
    ...countdown,
    id: 'countdown-diverse',
    summary: 'three numbers with at least three ways to the target: different right answers among 16 samples',
    metric: 'distinct@16',
    margin: 0.05,
    data: diverse,
  }),
  make({
    ...countdown,
    args: budget(84_000),
    id: 'countdown-epochs',
    summary: 'as countdown-diverse, with four epochs over the samples of every step',
    metric: 'distinct@16',
    margin: 0.05,
    data: diverse,
    settings: { ...short, num_iterations: 4 },
  }),
  make({
    ...arithmetic,
    id: 'arithmetic-graded',
    summary: 'chain arithmetic of 1 to 6 operations by a careless base, which gets 66% of the shortest and 6% of the longest right',
    data: taskData('chain-arithmetic', [1, 6], { max_completion_length: 60 }),
    settings: long,
  }),
  make({
    ...arithmetic,
    id: 'arithmetic-hard',
    summary:
      'chain arithmetic of 6 and 7 operations, of which the base gets one in twenty-five right; training rows hold the worked solution',
    data: taskData('chain-arithmetic', [6, 7], { max_completion_length: 64, size: 128 }),
    args: budget(150_000),
    settings: { max_completion_length: 64, beta: 0 },
  }),
  make({
    ...countdown,
    args: budget(84_000),
    id: 'countdown-stale',
    summary: 'as countdown-s, trained on samples of 8 steps ago',
    settings: { ...short, staleness: 8 },
    also: ['stale-rollouts'],
  }),
  make({
    ...arithmetic,
    id: 'arithmetic-demos',
    summary: 'chain arithmetic of 4 and 5 operations with demonstrations in a foreign form beside the problems',
    data: taskData('chain-arithmetic', [4, 5], { max_completion_length: 60, change: withDemonstration }),
    args: budget(125_000),
    settings: long,
  }),
  make({
    ...arithmetic,
    id: 'arithmetic-unlabelled',
    summary: 'chain arithmetic of 2 and 3 operations; only evaluation knows the answers, unless a method reads the reward',
    data: taskData('chain-arithmetic', [2, 3], { max_completion_length: 40, size: 128 }),
    args: budget(75_000),
    settings: short,
  }),
  make({
    id: 'arithmetic-verbose',
    summary: 'chain arithmetic of 2 and 3 operations by a base that writes redundant checks; right answers count by 1 - length / budget',
    metric: 'concise',
    base: verboseBase,
    data: taskData('chain-arithmetic', [2, 3], { max_completion_length: 80 }),
    args: sixtySteps(200_000),
    settings: { max_completion_length: 80, beta: 0 },
  }),
  make({
    id: 'parity-long',
    summary: 'parity of 7 to 9 bits, right only where every step is; the base has seen 8 at most',
    metric: 'pass@1',
    data: taskData('parity', [7, 9], { max_completion_length: 48, strict: true, size: 128 }),
    args: budget(120_000),
    settings: middle,
  }),
  make({
    id: 'retention',
    summary: 'sorting of 3 and 4 numbers is learnt; the mean of its pass@1 and that of chain arithmetic, which is not trained on',
    metric: 'retained',
    data: () => {
      const { train, evaluation } = taskData('sorting', [3, 4], { max_completion_length: 48 })();
      return { train, evaluation: [...evaluation, olds()] };
    },
    derived: (metrics) => ({ retained: ((metrics['pass@1'] as number) + (metrics['old/pass@1'] as number)) / 2 }),
    args: budget(150_000),
    settings: middle,
  }),
  ...specialAbouts,
  pairwiseJudging,
];

/** Every testbed of reinforcement learning. */
export const rlTestbeds: readonly Testbed[] = rlAbouts.map(rlTestbed);
