import { VitroError } from '../../tensor/errors.js';

/** What becomes of the matches of a pattern that cuts a text (the behaviours of Hugging Face tokenizers). */
export type SplitBehavior = 'Isolated' | 'Removed' | 'MergedWithPrevious' | 'MergedWithNext' | 'Contiguous';

const behaviors: readonly string[] = ['Isolated', 'Removed', 'MergedWithPrevious', 'MergedWithNext', 'Contiguous'];

export function splitBehavior(name: unknown): SplitBehavior {
  if (typeof name === 'string' && behaviors.includes(name)) return name as SplitBehavior;
  throw new VitroError(`unknown split behavior ${JSON.stringify(name)}; expected one of ${behaviors.join(', ')}`);
}

export type Splitter = (text: string, emit: (piece: string) => void) => void;

/** Cuts texts at the matches of a `gu` pattern; with `invert` the text between matches plays the part of the matches. */
export function splitter(pattern: RegExp, behavior: SplitBehavior, invert = false): Splitter {
  if (behavior === 'Isolated') return isolate(pattern);
  if (behavior === 'Removed')
    return (text, emit) => spans(pattern, text, (from, to, match) => match === invert && emit(text.slice(from, to)));
  return (text, emit) => {
    const parts: { from: number; to: number; match: boolean }[] = [];
    spans(pattern, text, (from, to, match) => parts.push({ from, to, match: match !== invert }));
    let from = 0;
    for (const [i, part] of parts.entries()) {
      const next = parts[i + 1];
      const joined =
        next !== undefined &&
        (behavior === 'Contiguous'
          ? next.match === part.match
          : behavior === 'MergedWithPrevious'
            ? next.match && !part.match
            : part.match && !next.match);
      if (joined) continue;
      emit(text.slice(from, part.to));
      from = part.to;
    }
  };
}

/** The common case: matches and what lies between them are pieces of their own. Sticky tests make no match objects. */
function isolate(pattern: RegExp): Splitter {
  const sticky = new RegExp(pattern.source, 'uy');
  const global = new RegExp(pattern.source, 'gu');
  return (text, emit) => {
    let at = 0;
    while (at < text.length) {
      sticky.lastIndex = at;
      if (sticky.test(text) && sticky.lastIndex > at) {
        const end = sticky.lastIndex;
        emit(text.slice(at, end));
        at = end;
        continue;
      }
      global.lastIndex = at;
      let match = global.exec(text);
      while (match && match[0] === '') {
        global.lastIndex = match.index + ((text.codePointAt(match.index) ?? 0) > 0xffff ? 2 : 1);
        match = global.exec(text);
      }
      if (!match) {
        emit(text.slice(at));
        return;
      }
      if (match.index > at) emit(text.slice(at, match.index));
      at = match.index + match[0].length;
      emit(match[0]);
    }
  };
}

/** Reports every match and every gap of a text in order. */
function spans(pattern: RegExp, text: string, report: (from: number, to: number, match: boolean) => void): void {
  let at = 0;
  for (const match of text.matchAll(pattern)) {
    if (match[0] === '') continue;
    if (match.index > at) report(at, match.index, false);
    at = match.index + match[0].length;
    report(match.index, at, true);
  }
  if (at < text.length) report(at, text.length, false);
}
