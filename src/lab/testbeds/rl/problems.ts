import type { JsonValue } from '../../../data/stream/batch.js';
import { countdownForm, scoreCompletion, type TaskDataset, type TaskEntry } from '../../../data/tasks/index.js';
import type { NamedReward, PromptRow } from '../../../train/rl/index.js';
import { hashOf } from '../../runStore.js';

/** Problems to train on or to be measured on, and how a completion is judged. */
export interface Problems {
  /** names everything that determines them */
  readonly fingerprint: string;
  readonly rows: readonly PromptRow[];
  /** How right a completion is, from 0 to 1; 1 is right. */
  judge(completion: string, row: PromptRow): number;
  /** A right answer in a form in which equal answers are equal texts; null where none is stated. */
  answer(completion: string, row: PromptRow): string | null;
  /** Whether a completion's chain is right from the first step to the last; absent = not judged. */
  chain?(completion: string, row: PromptRow): boolean;
}

/** Columns that methods read beside the prompt, see docs/rl-slots.md. */
export function rowOf(entry: TaskEntry, task: string, index: number): PromptRow {
  const { prompt, answer, solution, steps, difficulty } = entry;
  return { prompt, answer, solution, steps: [...steps] as JsonValue, difficulty, task, index };
}

/** Answers that mean the same as one text. */
const canonical: Readonly<Record<string, (answer: string) => string | null>> = { countdown: countdownForm };

export interface TaskProblemsOptions {
  /** rewrites rows, e.g. to add columns */
  readonly change?: (row: PromptRow) => PromptRow;
  /** leaves problems out */
  readonly keep?: (entry: TaskEntry) => boolean;
  /** most problems */
  readonly limit?: number;
  /** an answer counts only where every step before it is right */
  readonly strict?: boolean;
}

/** Problems of one or several generated tasks, one after the other. `change` and `keep` must not depend on anything that the fingerprint leaves out. */
export function taskProblems(datasets: readonly TaskDataset[], options: TaskProblemsOptions = {}): Problems {
  const { change = (row) => row, keep = () => true, limit = Number.POSITIVE_INFINITY, strict = false } = options;
  const places = datasets
    .flatMap((dataset) => Array.from({ length: dataset.length }, (_, i) => ({ dataset, entry: dataset.entry(i) })))
    .filter(({ entry }) => keep(entry))
    .slice(0, limit);
  const rows = places.map(({ dataset, entry }, i) => change(rowOf(entry, dataset.id, i)));
  const at = (row: PromptRow) => places[row.index as number] as (typeof places)[number];
  const chain = (completion: string, row: PromptRow): boolean => {
    const { right, complete } = at(row).dataset.judgeSteps(completion, at(row).entry);
    return complete && right.every(Boolean);
  };
  return {
    fingerprint: hashOf([strict, datasets.map((d) => d.fingerprint), rows.map((r) => [r.prompt, r.answer])]),
    rows,
    judge: (completion, row) => (strict && !chain(completion, row) ? 0 : scoreCompletion(at(row).dataset, completion, at(row).entry)),
    answer: (completion, row) => {
      const { dataset } = at(row);
      // what is right together with its chain is told apart by its chain too
      if (strict) return completion;
      const answer = dataset.extract(completion);
      return answer === null ? null : (canonical[dataset.id]?.(answer) ?? answer);
    },
    chain,
  };
}

/** The verifier as a reward function named `exact`: 1 for a right answer, else 0. */
export const exactReward = (problems: Problems): NamedReward => ({
  name: 'exact',
  score: (_, completions, columns) =>
    completions.map((text, i) => (problems.judge(text, problems.rows[columns.index?.[i] as number] as PromptRow) >= 1 ? 1 : 0)),
});
