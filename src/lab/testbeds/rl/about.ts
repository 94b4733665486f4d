import { createDataset, type TaskDataset } from '../../../data/tasks/index.js';
import { tasksBase } from '../../bases/index.js';
import { type TaskProblemsOptions, taskProblems } from './problems.js';
import type { RlTestbedAbout } from './testbed.js';

/** What the descriptions of testbeds have in common. */

/** problems that training draws from, about as many as 60 steps of 8 ask for, and those that are measured */
const sizes = { train: 500, test: 96 } as const;
const seeds = { train: 11, test: 12 } as const;
export type Split = keyof typeof sizes;

/** Problems of a task from one level to another, the levels in turn. Seeds are fixed: runs differ by the order of problems and by what is sampled. */
export const level = (task: string, from: number, to: number, split: Split, size: number = sizes[split]): TaskDataset =>
  createDataset(task, { size, seed: seeds[split], split, min_difficulty: from, max_difficulty: to });

type Common = Pick<RlTestbedAbout, 'better' | 'margin' | 'base' | 'args'>;
const common: Common = { better: 'higher', margin: 0.02, base: tasksBase, args: { max_steps: 60 } };

/** What a testbed of one task has: training problems and one set that is measured. */
export function taskData(
  task: string,
  [from, to]: readonly [number, number],
  {
    max_completion_length,
    samples = 8,
    size = sizes.train,
    ...options
  }: TaskProblemsOptions & { readonly max_completion_length: number; readonly samples?: number; readonly size?: number },
): RlTestbedAbout['data'] {
  return () => ({
    train: taskProblems([level(task, from, to, 'train', size)], options),
    evaluation: [{ name: '', problems: taskProblems([level(task, from, to, 'test')], options), samples, max_completion_length }],
  });
}

/** A description without what all share. */
export type About = Omit<RlTestbedAbout, keyof Common> & Partial<Common>;
/** Completes a description. */
export const make = (about: About): RlTestbedAbout => ({ ...common, ...about });

/** Every run ends with the step in which it has generated so many tokens, whatever a step costs its method. */
export const budget = (max_generated_tokens: number): RlTestbedAbout['args'] => ({ max_steps: 400, max_generated_tokens });
/** 60 steps, fewer where a method generates much more than GRPO does. */
export const sixtySteps = (max_generated_tokens: number): RlTestbedAbout['args'] => ({ max_steps: 60, max_generated_tokens });
export const short = { max_completion_length: 40, beta: 0 } as const;
export const long = { max_completion_length: 60, beta: 0 } as const;
export const middle = { max_completion_length: 48, beta: 0 } as const;
