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

/** Stands before a confidence behind the answer: `step;step#answer~7`. */
export const confidenceMarker = '~';

/** The confidence that a single digit d says, the middle of its tenth: (d + 0.5) / 10. */
export const digitConfidence = (digit: number): number => (digit + 0.5) / 10;

/**
 * A completion without its confidence, and the confidence in [0, 1] that follows the last `~`: one digit names a tenth (`~7` is 0.75), a decimal fraction
 * is itself (`~0.8`). Null, and the text as it is, where none is readable.
 */
export function splitConfidence(completion: string): { readonly text: string; readonly confidence: number | null } {
  const at = completion.lastIndexOf(confidenceMarker);
  const said = at < 0 ? '' : completion.slice(at + 1).trim();
  const value = /^\d$/.test(said) ? digitConfidence(Number(said)) : /^\d?\.\d+$/.test(said) ? Number(said) : Number.NaN;
  return value >= 0 && value <= 1 ? { text: completion.slice(0, at), confidence: value } : { text: completion, confidence: null };
}
