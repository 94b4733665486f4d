import type { Tokenizer } from '../../../contracts/index.js';
import type { HostContext, Scaffolded } from '../contract.js';
import type { Prompt } from '../trajectory.js';

/** Hints that are parts of the worked solution in the column `solution`. */

/** The worked solution of a problem; '' where there is none, which the user is told. */
export function solutionOf({ columns: { solution } }: Prompt, { note }: HostContext): string {
  if (typeof solution === 'string' && solution !== '') return solution;
  note('Some problems have no text in the column solution, so they are asked without hints.');
  return '';
}

/** Pieces of a solution up to each `;`, `#` or end of line; joined they are the solution again. The last one is the answer. */
export const solutionSteps = (solution: string): string[] => solution.match(/[^;#\n]*[;#\n]|[^;#\n]+$/g) ?? [];

/**
 * A problem with a hint, written as `format` says with {prompt} and {hint}. Where the hint comes last, the policy continues it, and rewards read it in front of the
 * completion.
 */
export function withHint(prompt: Prompt, hint: string, format: string, tokenizer: Tokenizer, notes: Scaffolded['notes'] = {}): Scaffolded {
  if (hint === '') return { prompt, context: prompt.tokens, notes };
  const [before, after = ''] = format.replace('{hint}', () => hint).split('{prompt}') as [string, string?];
  // where the problem comes first, its own tokens stay as they are
  const context =
    before === ''
      ? Int32Array.from([...prompt.tokens, ...tokenizer.encode(after)])
      : tokenizer.encode(`${before}${prompt.text}${after}`, { add_special_tokens: true });
  return { prompt, context, notes, ...(format.endsWith('{hint}') ? { prefix: hint } : {}) };
}
