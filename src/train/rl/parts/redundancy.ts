import type { Settings, Tokenizer } from '../../../contracts/index.js';
import { answerMarker, stepSeparator } from '../../../data/tasks/answer.js';
import type { Sample } from '../trajectory.js';

/** Where a chain of steps goes on although the answer is there. A completion is `step;step;...#answer`. */

/** what ends a step, and what stands before the answer */
export const stepDefaults = { step_separator: stepSeparator, answer_marker: answerMarker } as const satisfies Settings;

/** What a step comes to: the text behind its last `=`, or all of it. */
const resultOf = (step: string): string => step.slice(step.lastIndexOf('=') + 1).trim();

export interface Redundancy {
  /** share of the steps up to the first one whose result is the completion's own answer, that one included (the necessary prefix) */
  readonly necessary: number;
  /** characters [start, end) of the steps behind it, their separators included; the answer itself is not among them */
  readonly start: number;
  readonly end: number;
}

/** Null where there is no answer, or no step comes to it. */
export function redundancyOf(text: string, { step_separator, answer_marker }: Settings): Redundancy | null {
  const [separator, marker] = [String(step_separator), String(answer_marker)];
  const end = text.lastIndexOf(marker);
  if (end < 0) return null;
  const answer = text.slice(end + marker.length).trim();
  const steps = text.slice(0, end).split(separator);
  const first = steps.findIndex((step) => resultOf(step) === answer);
  if (first < 0 || answer === '') return null;
  return { necessary: (first + 1) / steps.length, start: steps.slice(0, first + 1).join(separator).length, end };
}

/** Tokens [from, to) of a sample that lie wholly within characters [start, end) of its text. */
export function tokensWithin(
  { segments }: Sample,
  { start, end }: Pick<Redundancy, 'start' | 'end'>,
  tokenizer: Tokenizer,
): [number, number] {
  const tokens = segments.flatMap((s) => [...s.tokens]);
  /** the least number of tokens whose text has so many characters */
  const tokensFor = (characters: number): number => {
    let [low, high] = [0, tokens.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (tokenizer.decode(tokens.slice(0, middle), { skip_special_tokens: true }).length >= characters) high = middle;
      else low = middle + 1;
    }
    return low;
  };
  return [tokensFor(start), Math.max(tokensFor(start), tokensFor(end + 1) - 1)];
}
