import { foldIn, randomKey } from '../../tensor/random/threefry.js';
import { Draws } from '../probes/draws.js';
import { writeSolution } from './answer.js';
import type { TaskDataset } from './task.js';

export interface CorruptedSolution {
  readonly prompt: string;
  readonly completion: string;
  /** number of the first wrong step; the steps before it are right */
  readonly first_wrong: number;
}

const classes = ['0123456789', 'abcdefghijklmnopqrstuvwxyz', '()[]{}<>'] as const;

/**
 * Entry i's worked solution with one character of one step changed (a digit to a digit, a letter to a letter, a bracket to a bracket), such that the step checker finds it wrong: data for
 * process reward models. What follows is as in the worked solution. Null where the solution has no steps or no change of 100 made one wrong.
 */
export function corruptedSolution(dataset: TaskDataset, i: number, seed: number): CorruptedSolution | null {
  const entry = dataset.entry(i);
  const draws = new Draws(foldIn(foldIn(randomKey(seed), 0x636f7272), i));
  for (let attempt = 0; attempt < 100 && entry.steps.length > 0; attempt++) {
    const first_wrong = draws.below(entry.steps.length);
    const step = entry.steps[first_wrong] as string;
    const at = draws.below(step.length);
    const others = classes.find((c) => c.includes(step[at] as string))?.replace(step[at] as string, '');
    if (!others) continue;
    const steps = [...entry.steps];
    steps[first_wrong] = step.slice(0, at) + others[draws.below(others.length)] + step.slice(at + 1);
    const completion = writeSolution(steps, entry.answer);
    if (dataset.judgeSteps(completion, entry).right.indexOf(false) === first_wrong)
      return { prompt: entry.prompt, completion, first_wrong };
  }
  return null;
}
