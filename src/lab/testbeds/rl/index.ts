import { countdownSolutions, createDataset, type TaskDataset, type TaskEntry } from '../../../data/tasks/index.js';
import type { PromptRow } from '../../../train/rl/index.js';
import { tasksBase, verboseBase } from '../../bases/index.js';
import { foreignSolution } from '../../bases/styles.js';
import type { Testbed } from '../testbed.js';
import type { EvaluationSet } from './evaluate.js';
import { type TaskProblemsOptions, taskProblems } from './problems.js';
import { type RlTestbedAbout, rlTestbed } from './testbed.js';

/** problems that training draws from, and those that are measured */
const sizes = { train: 2000, test: 96 } as const;
const seeds = { train: 11, test: 12 } as const;
type Split = keyof typeof sizes;

/** Problems of a task from one level to another, the levels in turn. Seeds are fixed: runs differ by the order of problems and by what is sampled. */
const level = (task: string, from: number, to: number, split: Split, size: number = sizes[split]): TaskDataset =>
  createDataset(task, { size, seed: seeds[split], split, min_difficulty: from, max_difficulty: to });

type Common = Pick<RlTestbedAbout, 'better' | 'margin' | 'base' | 'args'>;
const common: Common = { better: 'higher', margin: 0.02, base: tasksBase, args: { max_steps: 60 } };

/** What a testbed of one task has: training problems and one set that is measured. */
function taskData(
  task: string,
  [from, to]: readonly [number, number],
  {
    max_completion_length,
    samples = 8,
    ...options
  }: TaskProblemsOptions & { readonly max_completion_length: number; readonly samples?: number },
): RlTestbedAbout['data'] {
  return () => ({
    train: taskProblems([level(task, from, to, 'train')], options),
    evaluation: [{ name: '', problems: taskProblems([level(task, from, to, 'test')], options), samples, max_completion_length }],
  });
}

type About = Omit<RlTestbedAbout, keyof Common> & Partial<Common>;
const make = (about: About): RlTestbedAbout => ({ ...common, ...about });

const budget = (max_generated_tokens: number, max_steps = 60): RlTestbedAbout['args'] => ({ max_steps, max_generated_tokens });
const short = { max_completion_length: 40, beta: 0 } as const;
const long = { max_completion_length: 72, beta: 0 } as const;

const countdown: About = {
  id: 'countdown-s',
  summary: 'reach a target from three numbers: 60 steps of 8 problems and 8 completions, or 90k generated tokens',
  metric: 'pass@1',
  data: taskData('countdown', [3, 3], { max_completion_length: 40 }),
  args: budget(90_000),
  settings: short,
};

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
  problems: taskProblems([level('sorting', 2, 3, 'test', 48), level('parity', 4, 6, 'test', 48)]),
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
    id: 'countdown-epochs',
    summary: 'as countdown-diverse, with four epochs over the samples of every step',
    metric: 'distinct@16',
    margin: 0.05,
    data: diverse,
    settings: { ...short, num_iterations: 4 },
  }),
  make({
    id: 'arithmetic-graded',
    summary: 'chain arithmetic of 2 to 7 operations, where the base is good at the short ones and helpless at the long ones',
    metric: 'pass@1',
    data: taskData('chain-arithmetic', [2, 7], { max_completion_length: 72 }),
    args: budget(140_000),
    settings: long,
  }),
  make({
    id: 'arithmetic-hard',
    summary: 'chain arithmetic of 6 and 7 operations, which the base rarely gets right; training rows hold the worked solution',
    metric: 'pass@1',
    data: taskData('chain-arithmetic', [6, 7], { max_completion_length: 72 }),
    args: budget(180_000),
    settings: long,
  }),
  make({
    id: 'arithmetic-stale',
    summary: 'chain arithmetic of 4 operations, trained on samples of 8 steps ago',
    metric: 'pass@1',
    data: taskData('chain-arithmetic', [4, 4], { max_completion_length: 48 }),
    args: budget(140_000),
    settings: { max_completion_length: 48, beta: 0, staleness: 8 },
    also: ['stale-rollouts'],
  }),
  make({
    id: 'arithmetic-demos',
    summary: 'chain arithmetic of 6 and 7 operations with demonstrations in a foreign form beside the problems',
    metric: 'pass@1',
    data: taskData('chain-arithmetic', [6, 7], { max_completion_length: 72, change: withDemonstration }),
    args: budget(180_000),
    settings: long,
  }),
  make({
    id: 'arithmetic-unlabelled',
    summary: 'chain arithmetic of 3 operations; only evaluation knows the answers, unless a method reads the reward',
    metric: 'pass@1',
    data: taskData('chain-arithmetic', [3, 3], { max_completion_length: 40 }),
    args: budget(100_000),
    settings: short,
  }),
  make({
    id: 'arithmetic-verbose',
    summary: 'chain arithmetic of 3 and 4 operations by a base that writes redundant checks; right answers count by 1 - length / budget',
    metric: 'concise',
    base: verboseBase,
    data: taskData('chain-arithmetic', [3, 4], { max_completion_length: 80 }),
    args: budget(200_000),
    settings: { max_completion_length: 80, beta: 0 },
  }),
  make({
    id: 'parity-long',
    summary: 'parity of 10 to 14 bits, step by step; the base has seen 8 at most',
    metric: 'pass@1',
    data: taskData('parity', [10, 14], { max_completion_length: 72 }),
    args: budget(240_000),
    settings: long,
  }),
  make({
    id: 'retention',
    summary: 'chain arithmetic of 5 operations is learnt; the mean of its pass@1 and that of sorting and parity, which are not trained on',
    metric: 'retained',
    data: () => ({
      ...taskData('chain-arithmetic', [5, 5], { max_completion_length: 56 })(),
      evaluation: [...taskData('chain-arithmetic', [5, 5], { max_completion_length: 56 })().evaluation, olds()],
    }),
    derived: (metrics) => ({ retained: ((metrics['pass@1'] as number) + (metrics['old/pass@1'] as number)) / 2 }),
    args: budget(150_000),
    settings: { max_completion_length: 56, beta: 0 },
  }),
];

/** Every testbed of reinforcement learning. */
export const rlTestbeds: readonly Testbed[] = rlAbouts.map(rlTestbed);
