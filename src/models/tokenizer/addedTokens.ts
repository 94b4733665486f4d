import { VitroError } from '../../tensor/errors.js';
import { asArray, asRecord, asString, asTokenId } from './json.js';
import { wordCharacter } from './regex.js';

/** A token that is found in the text before the model sees it. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
  /** skipped by `skip_special_tokens` */
  readonly special: boolean;
  readonly single_word: boolean;
  /** takes in the whitespace on its left */
  readonly lstrip: boolean;
  readonly rstrip: boolean;
  /** looked for after normalization instead of before */
  readonly normalized: boolean;
}

export function readAddedTokens(value: unknown): AddedToken[] {
  if (value === undefined || value === null) return [];
  return asArray(value, 'added_tokens').map((entry, i) => {
    const token = asRecord(entry, `added_tokens[${i}]`);
    return {
      id: asTokenId(token.id, `added_tokens[${i}].id`),
      content: asString(token.content, `added_tokens[${i}].content`),
      special: token.special === true,
      single_word: token.single_word === true,
      lstrip: token.lstrip === true,
      rstrip: token.rstrip === true,
      normalized: token.normalized === true,
    };
  });
}

interface Node {
  token?: AddedToken;
  readonly next: Map<number, Node>;
}

/** Finds added tokens in texts: leftmost, and of several at one place the longest. */
export class AddedTokenMatcher {
  readonly #root: Node = { next: new Map() };
  readonly #starts: RegExp | null;

  /** @param contentOf what to look for; defaults to the token's content */
  constructor(tokens: readonly AddedToken[], contentOf: (token: AddedToken) => string = (t) => t.content) {
    const firsts = new Set<number>();
    for (const token of tokens) {
      const content = contentOf(token);
      if (content === '') continue;
      if (content.length > 4096) throw new VitroError(`added token ${token.id} has ${content.length} characters; at most 4096 are allowed`);
      let node = this.#root;
      for (let i = 0; i < content.length; i++) {
        const unit = content.charCodeAt(i);
        let child = node.next.get(unit);
        if (!child) {
          child = { next: new Map() };
          node.next.set(unit, child);
        }
        node = child;
      }
      node.token = token;
      firsts.add(content.charCodeAt(0));
    }
    const units = [...firsts].map((unit) => `\\u${unit.toString(16).padStart(4, '0')}`);
    this.#starts = units.length > 0 ? new RegExp(`[${units.join('')}]`, 'g') : null;
  }

  /** Reports plain sections (with whether they start the text) and tokens in order. */
  split(text: string, onText: (section: string, at: number) => void, onToken: (token: AddedToken) => void): void {
    let from = 0;
    const starts = this.#starts;
    if (starts) {
      starts.lastIndex = 0;
      for (let candidate = starts.exec(text); candidate; candidate = starts.exec(text)) {
        const at = candidate.index;
        const found = this.#longest(text, at);
        if (!found) continue;
        const { token, end } = found;
        starts.lastIndex = end;
        if (token.single_word && (endsWithWord(text, at) || startsWithWord(text, end))) continue;
        const left = token.lstrip ? Math.max(from, skipSpaceLeft(text, at)) : at;
        const right = token.rstrip ? skipSpaceRight(text, end) : end;
        if (left > from) onText(text.slice(from, left), from);
        onToken(token);
        from = right;
        starts.lastIndex = right;
      }
    }
    if (from < text.length) onText(from === 0 ? text : text.slice(from), from);
  }

  #longest(text: string, start: number): { token: AddedToken; end: number } | null {
    let node: Node | undefined = this.#root;
    let best: { token: AddedToken; end: number } | null = null;
    for (let i = start; i < text.length; ) {
      node = node.next.get(text.charCodeAt(i));
      if (!node) break;
      i++;
      if (node.token) best = { token: node.token, end: i };
    }
    return best;
  }
}

const wordEnd = new RegExp(`[${wordCharacter}]$`, 'u');
const wordStart = new RegExp(`^[${wordCharacter}]`, 'u');
const endsWithWord = (text: string, end: number): boolean => wordEnd.test(text.slice(Math.max(0, end - 2), end));
const startsWithWord = (text: string, start: number): boolean => wordStart.test(text.slice(start, start + 2));

const isSpace = (char: string | undefined): boolean => char !== undefined && /\p{White_Space}/u.test(char);

function skipSpaceLeft(text: string, end: number): number {
  let at = end;
  while (at > 0 && isSpace(text[at - 1])) at--;
  return at;
}

function skipSpaceRight(text: string, start: number): number {
  let at = start;
  while (at < text.length && isSpace(text[at])) at++;
  return at;
}
