/**
 * How completions of all tasks are written: `step;step;step#answer`. The marker is also the end of GSM8K's `#### 42`.
 */
export const answerMarker = '#';
export const stepSeparator = ';';

/** A completion with the given chain; without steps it is the marked answer alone. */
export const writeSolution = (steps: readonly string[], answer: string): string => `${steps.join(stepSeparator)}${answerMarker}${answer}`;

/** What follows the last marker, up to the end of its line, without blanks around it; null where nothing is marked. */
export function extractAnswer(completion: string): string | null {
  const at = completion.lastIndexOf(answerMarker);
  if (at < 0) return null;
  const end = completion.indexOf('\n', at);
  return completion.slice(at + 1, end < 0 ? undefined : end).trim();
}

/** The steps before the first marker, or of the whole text where there is none; none of an empty chain. */
export function extractSteps(completion: string): string[] {
  const at = completion.indexOf(answerMarker);
  const chain = (at < 0 ? completion : completion.slice(0, at)).trim();
  return chain === '' ? [] : chain.split(stepSeparator).map((step) => step.trim());
}
