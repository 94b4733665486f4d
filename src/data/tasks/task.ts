import type { Draws } from '../probes/draws.js';
import type { JsonValue } from '../stream/batch.js';
import type { KnobSpecs, KnobValues } from './knobs.js';

/** One problem with its worked solution. All texts are ASCII. */
export interface TaskEntry {
  readonly prompt: string;
  /** what a model should write: the steps, the marker, the answer */
  readonly solution: string;
  readonly answer: string;
  /** the worked solution's steps, also where `solution` leaves them out */
  readonly steps: readonly string[];
  readonly difficulty: number;
  /** what the problem exercises, for tasks with several skills */
  readonly skills?: readonly string[];
  /** what scoring needs, and the problem in structured form */
  readonly metadata: Readonly<Record<string, JsonValue>>;
}

/** Problems by number. */
export interface TaskDataset {
  readonly id: string;
  readonly settings: Readonly<Record<string, JsonValue>>;
  readonly length: number;
  /** names everything that determines the entries */
  readonly fingerprint: string;
  /** Entry i of [0, length): a pure function of the seed, the settings and i. */
  entry(i: number): TaskEntry;
  /** The final answer that a completion states; null where it states none. */
  extract(completion: string): string | null;
  /** How right an answer is, from 0 to 1; 1 is right. Exact: no model is asked. */
  score(answer: string, entry: TaskEntry): number;
  /** Judges a completion's chain step by step. Says nothing about the answer. */
  judgeSteps(completion: string, entry: TaskEntry): ChainVerdict;
}

export interface ChainVerdict {
  /** for each step that was written, whether it is right */
  readonly right: readonly boolean[];
  /** whether the chain gets to the end: no step is missing */
  readonly complete: boolean;
}

/** A problem that was drawn but not yet written out. */
export interface Candidate {
  /** equal for spellings of the same problem; decides between train and test */
  readonly identity: string;
  /** combinations of skills that the problem needs, for tasks that can hold some out */
  readonly combinations?: readonly string[];
  /** Writes the problem; called for accepted candidates only. */
  build(): {
    readonly prompt: string;
    readonly steps: readonly string[];
    readonly answer: string;
    readonly skills?: readonly string[];
    readonly metadata?: Readonly<Record<string, JsonValue>>;
  };
}

export interface DifficultyRange {
  /** what the number counts */
  readonly counts: string;
  /** the legal range */
  readonly min: number;
  readonly max: number;
  /** the range that is drawn from by default */
  readonly from: number;
  readonly to: number;
}

/** A family of generated problems with an exact verifier. */
export interface Task<K extends KnobSpecs = KnobSpecs> {
  readonly id: string;
  readonly summary: string;
  /** where the task is from, if it is from a paper */
  readonly paper?: string;
  readonly difficulty: DifficultyRange;
  readonly knobs: K;
  /** every character that prompts and solutions may hold */
  readonly alphabet: string;
  /** whether candidates state combinations, so that some can be held out */
  readonly holdsOutCombinations?: boolean;
  /** A random problem of a difficulty; null where the draw came to nothing and should be repeated. */
  draw(draws: Draws, difficulty: number, settings: KnobValues<K>): Candidate | null;
  /** default: equal to the entry's answer, 0 or 1 */
  score?(answer: string, entry: TaskEntry): number;
  /** default: equal to the worked solution's step at the same place */
  judgeSteps?(steps: readonly string[], entry: TaskEntry): ChainVerdict;
}

/** Checks nothing; gives `draw` the types of the knobs. */
export const defineTask = <const K extends KnobSpecs>(task: Task<K>): Task<K> => task;

export const exactScore = (answer: string, entry: TaskEntry): number => (answer.trim() === entry.answer ? 1 : 0);

export const exactSteps = (steps: readonly string[], entry: TaskEntry): ChainVerdict => ({
  right: steps.map((step, i) => step === entry.steps[i]),
  complete: steps.length === entry.steps.length,
});

/** The score of a completion's final answer; 0 where it states none. */
export function scoreCompletion(dataset: TaskDataset, completion: string, entry: TaskEntry): number {
  const answer = dataset.extract(completion);
  return answer === null ? 0 : dataset.score(answer, entry);
}

/** Whether a completion's chain is right from the first step to the last. Says nothing about the answer. */
export function chainIsRight(dataset: TaskDataset, completion: string, entry: TaskEntry): boolean {
  const { right, complete } = dataset.judgeSteps(completion, entry);
  return complete && right.every(Boolean);
}
