import { VitroError } from '../../tensor/errors.js';
import { nearestName } from '../names.js';
import { addition } from './addition.js';
import { brackets } from './brackets.js';
import { chainArithmetic } from './chainArithmetic.js';
import { countdown } from './countdown.js';
import { type TaskOptions, taskDataset } from './dataset.js';
import { factWorld } from './factWorld.js';
import { graphPath } from './graphPath.js';
import { knightsAndKnaves } from './knightsAndKnaves.js';
import type { KnobSpecs } from './knobs.js';
import { multiHop } from './multiHop.js';
import { multiplication } from './multiplication.js';
import { parityTask } from './parity.js';
import { permutation } from './permutation.js';
import { preferenceWorld } from './preferenceWorld.js';
import { sorting } from './sorting.js';
import { stringFunctions } from './stringFunctions.js';
import { subtraction } from './subtraction.js';
import type { Task, TaskDataset } from './task.js';

export { answerMarker, confidenceMarker, extractAnswer, extractSteps, splitConfidence, stepSeparator, writeSolution } from './answer.js';
export { type CorruptedSolution, corruptedSolution } from './corrupt.js';
export { countdownForm, countdownSolutions } from './countdown.js';
export { type CommonSettings, type TaskOptions, taskDataset, taskKnobs } from './dataset.js';
export { type TaskDocument, type TaskMixture, taskDocument, taskMixture } from './document.js';
export { factStatements } from './factWorld.js';
export { type Gsm8kOptions, gsm8k } from './gsm8k.js';
export type { KnobSpec, KnobSpecs, KnobValues } from './knobs.js';
export { extractMathAnswer, mathEqual, mathVerifier } from './math/verifier.js';
export { multiHopFacts } from './multiHop.js';
export {
  completionUtility,
  type PreferencePair,
  type PreferencePairs,
  preferenceLexicon,
  preferencePairs,
  preferenceRatings,
  preferenceUtility,
} from './preferenceWorld.js';
export { heldOutShare, type Split } from './split.js';
export { applyStringFunction } from './stringFunctions.js';
export { type ChainVerdict, chainIsRight, scoreCompletion, type Task, type TaskDataset, type TaskEntry } from './task.js';
export { taskCharacters, taskTokenizer } from './taskTokenizer.js';
export { type TaskViewForm, taskView } from './view.js';

/** Every generated task by its id. */
export const tasks = {
  addition,
  brackets,
  'chain-arithmetic': chainArithmetic,
  countdown,
  'fact-world': factWorld,
  'graph-path': graphPath,
  'knights-and-knaves': knightsAndKnaves,
  'multi-hop': multiHop,
  multiplication,
  parity: parityTask,
  permutation,
  'preference-world': preferenceWorld,
  sorting,
  'string-functions': stringFunctions,
  subtraction,
} as const;

export type TaskName = keyof typeof tasks;

export const taskNames = Object.keys(tasks) as TaskName[];

/** The task of an id. @throws VitroError with the nearest known id */
export function taskNamed(name: string): Task {
  const task: unknown = Object.hasOwn(tasks, name) ? tasks[name as TaskName] : undefined;
  if (task) return task as Task;
  const near = nearestName(name, taskNames);
  throw new VitroError(`there is no task ${name}${near ? `; did you mean ${near}?` : ''} Tasks: ${taskNames.join(', ')}.`);
}

/** Settings by name, as files and command lines give them: checked when the dataset is made. */
export type UncheckedOptions = { readonly size: number; readonly seed: number } & Readonly<Record<string, unknown>>;

/**
 * Problems of a task: `createDataset('countdown', { size: 1000, seed: 1, max_difficulty: 4 })`. Entry i is a pure function of the seed, the settings and i.
 * Settings of all tasks: split, combinations, worked, min_difficulty, max_difficulty; others by taskKnobs.
 * @throws VitroError where the task or a setting is unknown, or a value is illegal
 */
export function createDataset<N extends TaskName>(name: N, options: TaskOptions<(typeof tasks)[N]['knobs']>): TaskDataset;
export function createDataset(name: string, options: UncheckedOptions): TaskDataset;
export function createDataset(name: string, options: UncheckedOptions): TaskDataset {
  return taskDataset(taskNamed(name), options as TaskOptions<KnobSpecs>);
}
