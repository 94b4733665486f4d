import { VitroError } from '../../tensor/errors.js';
import { foldIn, randomKey } from '../../tensor/random/threefry.js';
import { Draws } from '../probes/draws.js';
import type { JsonValue } from '../stream/batch.js';
import { sourceFingerprint } from '../stream/batch.js';
import { extractAnswer, extractSteps, writeSolution } from './answer.js';
import { choice, flag, integer, type KnobSpecs, type KnobValues, readKnobs } from './knobs.js';
import { inSplit, isHeldOutCombination } from './split.js';
import { type Candidate, type DifficultyRange, exactScore, exactSteps, type Task, type TaskDataset } from './task.js';

/** Problems of a tight split or range are drawn again this often before that is an error. */
const maxDraws = 5000;

const commonKnobs = ({ min, max, from, to, counts }: DifficultyRange) => ({
  split: choice(['train', 'test', 'all'], 'train', 'which problems; train and test share none, whatever the seeds and settings'),
  combinations: choice(
    ['any', 'seen', 'held-out'],
    'any',
    'seen leaves out a fixed fifth of the combinations of skills; held-out needs one of these',
  ),
  worked: flag(true, 'whether solutions show their steps'),
  min_difficulty: integer(from, min, max, `least ${counts}`),
  max_difficulty: integer(to, min, max, `most ${counts}`),
});

/** Settings of every generated task. */
export type CommonSettings = KnobValues<ReturnType<typeof commonKnobs>>;

/** All settings of a task with their defaults and help: its own and the common ones. */
export const taskKnobs = (task: Task): KnobSpecs => ({ ...commonKnobs(task.difficulty), ...task.knobs });

export type TaskOptions<K extends KnobSpecs> = { readonly size: number; readonly seed: number } & Partial<CommonSettings> &
  Partial<KnobValues<K>>;

function accepts(candidate: Candidate, taskId: string, { split, combinations }: CommonSettings): boolean {
  if (!inSplit(split, `${taskId} ${candidate.identity}`)) return false;
  if (combinations === 'any') return true;
  const heldOut = candidate.combinations?.some((c) => isHeldOutCombination(`${taskId} ${c}`)) ?? false;
  return heldOut === (combinations === 'held-out');
}

/**
 * Problems of a task. Entry i depends on the seed, the settings and i alone (counter-based generator), not on `size`.
 * @throws VitroError where a setting is unknown or illegal, or where no problem fits split, range and combinations
 */
export function taskDataset<K extends KnobSpecs>(task: Task<K>, { size, seed, ...given }: TaskOptions<K>): TaskDataset {
  const { id } = task;
  if (!(Number.isSafeInteger(size) && size > 0 && size <= 2 ** 32))
    throw new VitroError(`${id}: size must be an integer from 1 to 2^32, got ${size}`);
  const common = commonKnobs(task.difficulty);
  const settings = readKnobs<typeof common & K>(id, { ...common, ...task.knobs }, given);
  const { min_difficulty, max_difficulty, combinations, worked } = settings as CommonSettings;
  if (min_difficulty > max_difficulty)
    throw new VitroError(
      `${id}: min_difficulty ${min_difficulty} is above max_difficulty ${max_difficulty} (default ${task.difficulty.to})`,
    );
  if (combinations !== 'any' && !task.holdsOutCombinations)
    throw new VitroError(`${id} has no combinations to hold out; leave combinations at any, and raise min_difficulty for harder problems`);
  const key = randomKey(seed);

  const candidate = (draws: Draws, difficulty: number, index: number): Candidate => {
    for (let attempt = 0; attempt < maxDraws; attempt++) {
      const drawn = task.draw(draws, difficulty, settings as KnobValues<K>);
      if (drawn && accepts(drawn, id, settings as CommonSettings)) return drawn;
    }
    throw new VitroError(
      `${id}: no problem of difficulty ${difficulty} for entry ${index} in ${maxDraws} draws fits ${JSON.stringify(settings)}; widen the settings`,
    );
  };
  return {
    id,
    settings: settings as Readonly<Record<string, JsonValue>>,
    length: size,
    fingerprint: sourceFingerprint({ kind: 'task', version: 1, id, seed, size, settings: settings as Record<string, JsonValue> }),
    entry(i) {
      if (!(Number.isInteger(i) && i >= 0 && i < size)) throw new VitroError(`${id}: entry ${i} is not one of the ${size} entries`);
      const draws = new Draws(foldIn(key, i));
      const difficulty = min_difficulty + draws.below(max_difficulty - min_difficulty + 1);
      const { prompt, steps, answer, skills, metadata = {} } = candidate(draws, difficulty, i).build();
      const solution = writeSolution(worked ? steps : [], answer);
      return { prompt, solution, answer, steps, difficulty, ...(skills ? { skills } : {}), metadata };
    },
    extract: extractAnswer,
    score: task.score ?? exactScore,
    judgeSteps: (completion, entry) => (task.judgeSteps ?? exactSteps)(extractSteps(completion), entry),
  };
}
