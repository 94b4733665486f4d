import type { Settings } from '../../../contracts/index.js';
import { extractAnswer } from '../../../data/tasks/answer.js';
import { VitroError } from '../../../tensor/errors.js';
import type { Sample } from '../trajectory.js';

/** Answers that completions state, and votes over them. */

/** `answer_pattern`: a regular expression whose last match is the answer (its first group, where it has one); '' = what the tasks mark with # */
export const answerDefaults = { answer_pattern: '' } as const satisfies Settings;

/** Reads the answer of a text; null where it states none. @throws VitroError where the pattern is no regular expression */
export function answerReader({ answer_pattern }: Settings): (text: string) => string | null {
  if (answer_pattern === undefined || answer_pattern === '') return extractAnswer;
  let pattern: RegExp;
  try {
    pattern = new RegExp(String(answer_pattern), 'g');
  } catch {
    throw new VitroError(
      `answer_pattern must be a regular expression such as \\\\boxed\\{([^}]*)\\}, got ${JSON.stringify(answer_pattern)}`,
    );
  }
  return (text) => {
    const last = [...text.matchAll(pattern)].at(-1);
    return last ? (last[1] ?? last[0]).trim() : null;
  };
}

/** Number of votes for each answer, in the order in which answers first came; completions without an answer do not vote. */
export function tally(answers: readonly (string | null)[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const a of answers) if (a !== null && a !== '') counts.set(a, (counts.get(a) ?? 0) + 1);
  return counts;
}

/** The answer of the highest score, the first of equals; null where there is none above 0. */
export function best(scores: ReadonlyMap<string, number>): string | null {
  let found: string | null = null;
  let most = 0;
  for (const [answer, score] of scores)
    if (score > most) {
      found = answer;
      most = score;
    }
  return found;
}

/** Places of samples by a key, in the order in which keys first came. */
export function placesBy(samples: readonly Sample[], key: (sample: Sample) => string | number): number[][] {
  const places = new Map<string | number, number[]>();
  for (const [i, s] of samples.entries()) {
    const own = places.get(key(s));
    if (own) own.push(i);
    else places.set(key(s), [i]);
  }
  return [...places.values()];
}
