import type { Draws } from '../probes/draws.js';
import { choice, integer } from './knobs.js';
import { defineTask } from './task.js';

const kinds = ['()', '[]', '{}', '<>'] as const;

/** Brackets still open after a text, as their closers in the order of opening; null where a closer does not fit. */
function openAfter(text: string): string | null {
  let open = '';
  for (const c of text) {
    const kind = kinds.find((k) => k[0] === c);
    if (kind) open += kind[1];
    else if (open.endsWith(c)) open = open.slice(0, -1);
    else return null;
  }
  return open;
}

/** A balanced text of `pairs` pairs. */
function balanced(draws: Draws, pairs: number, types: number): string {
  let [text, open, opened] = ['', '', 0];
  while (text.length < 2 * pairs)
    if (opened < pairs && (open === '' || draws.below(2))) {
      const [opener, closer] = [...(kinds[draws.below(types)] as string)] as [string, string];
      [text, open, opened] = [text + opener, open + closer, opened + 1];
    } else [text, open] = [text + open.at(-1), open.slice(0, -1)];
  return text;
}

/** `text` with one bracket replaced by another one. */
function damaged(draws: Draws, text: string, types: number): string {
  const at = draws.below(text.length);
  const others = kinds
    .slice(0, types)
    .join('')
    .replace(text[at] as string, '');
  return text.slice(0, at) + others[draws.below(others.length)] + text.slice(at + 1);
}

/** After each bracket, it and the closers of those still open: `(:)`, `[:)]`, `]:)`; `!` where a closer does not fit. */
function traceOf(text: string): string[] {
  const steps: string[] = [];
  for (let i = 1; i <= text.length; i++) {
    const open = openAfter(text.slice(0, i));
    steps.push(`${text[i - 1]}:${open ?? '!'}`);
    if (open === null) break;
  }
  return steps;
}

/** Brackets: `([]?` asks whether all is closed (y or n), `([:` for the closers that are missing. Steps show the stack. */
export const brackets = defineTask({
  id: 'brackets',
  summary: 'whether brackets match, or the closers that are missing, with the stack',
  difficulty: { counts: 'pairs of brackets', min: 1, max: 32, from: 2, to: 6 },
  knobs: {
    mode: choice(['both', 'classify', 'complete'], 'both', 'the question'),
    types: integer(3, 1, 4, 'kinds of brackets'),
  },
  alphabet: '()[]{}<>?:!yn;#',
  draw(draws, pairs, { mode, types }) {
    const text = balanced(draws, pairs, types);
    const classify = mode === 'classify' || (mode === 'both' && draws.below(2) === 0);
    if (classify) {
      const asked = draws.below(2) ? text : damaged(draws, text, types);
      const matched = openAfter(asked) === '';
      const prompt = `${asked}?`;
      return {
        identity: prompt,
        build: () => ({ prompt, steps: traceOf(asked), answer: matched ? 'y' : 'n', skills: ['classify'] }),
      };
    }
    const start = text.slice(0, 1 + draws.below(text.length));
    const open = openAfter(start) ?? '';
    if (open === '') return null;
    const prompt = `${start}:`;
    return {
      identity: prompt,
      build: () => ({ prompt, steps: traceOf(start), answer: [...open].reverse().join(''), skills: ['complete'] }),
    };
  },
});
