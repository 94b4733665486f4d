import { sourceFingerprint } from '../stream/batch.js';
import type { TaskDataset, TaskEntry } from './task.js';

export interface TaskViewForm extends Partial<Pick<TaskDataset, 'extract' | 'judgeSteps'>> {
  /** names everything that the form does to entries and answers */
  readonly name: string;
  /** The problem in another form: prompt, solution, steps, answer; default: as it is. Must depend on its arguments alone. */
  entry?(entry: TaskEntry, i: number): TaskEntry;
  /** What of a completion is judged; default: all. */
  read?(completion: string): string;
}

/**
 * The problems of a dataset written in another form. A completion's answer is scored against the entry as the form writes it, and its chain against that
 * entry's steps.
 */
export function taskView(dataset: TaskDataset, form: TaskViewForm): TaskDataset {
  const {
    name,
    entry = (own) => own,
    read = (completion) => completion,
    extract = dataset.extract,
    judgeSteps = dataset.judgeSteps,
  } = form;
  return {
    ...dataset,
    fingerprint: sourceFingerprint({ kind: 'task-view', of: dataset.fingerprint, form: name }),
    entry: (i) => entry(dataset.entry(i), i),
    extract: (completion) => extract(read(completion)),
    judgeSteps: (completion, own) => judgeSteps(read(completion), own),
  };
}
