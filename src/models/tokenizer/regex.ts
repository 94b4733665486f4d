/**
 * Regular expressions of tokenizer files are written for Oniguruma. This module writes them for JavaScript's `u` flag so that they match
 * the same text: `\s` is the Unicode property White_Space (JavaScript's own differs at U+0085 and U+FEFF), `(?i:...)` is spelled out,
 * possessive quantifiers become a lookahead with a back reference. What it cannot state exactly gives null.
 */
export function translateRegex(pattern: string, flags = 'gu'): RegExp | null {
  try {
    return new RegExp(new Translator(pattern).run(), flags);
  } catch (error) {
    if (error instanceof Untranslatable || error instanceof SyntaxError) return null;
    throw error;
  }
}

/** A character of a word, as the field's Rust code reads it: Oniguruma's `\w` differs. */
export const wordCharacter = '\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\u200c\\u200d';

/** A regular expression for a literal text. */
export const literalRegex = (text: string): RegExp => new RegExp(text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&'), 'gu');

class Untranslatable extends Error {}

const scripts = new Set([
  'Han',
  'Hiragana',
  'Katakana',
  'Hangul',
  'Latin',
  'Cyrillic',
  'Greek',
  'Arabic',
  'Hebrew',
  'Thai',
  'Devanagari',
  'Bopomofo',
]);
const syntaxCharacters = new Set('^$\\.*+?()[]{}|/');
/** non-ASCII characters that fold to an ASCII letter when case is ignored */
const folds: Readonly<Record<string, string>> = { s: '\u017f', k: '\u212a' };
const classEscapes: Readonly<Record<string, string>> = {
  s: '\\p{White_Space}',
  d: '\\p{Nd}',
  // the Latin-1 fractions and powers, but no numbers beyond them, belong to it
  w: '\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}²³¹¼½¾',
};
const negatedEscapes: Readonly<Record<string, string>> = { S: '\\P{White_Space}', D: '\\P{Nd}' };
const groupOpenings = ['(?:', '(?=', '(?!', '(?<=', '(?<!'];

class Translator {
  #at = 0;
  #out: string[] = [];
  #atomics = 0;

  constructor(readonly pattern: string) {}

  run(): string {
    this.#alternatives(false);
    if (this.#at < this.pattern.length) throw new Untranslatable();
    return this.#out.join('');
  }

  #alternatives(ignoreCase: boolean): void {
    while (this.#at < this.pattern.length && this.pattern[this.#at] !== ')') {
      if (this.pattern[this.#at] === '|') {
        this.#out.push('|');
        this.#at++;
      } else this.#quantified(ignoreCase);
    }
  }

  #quantified(ignoreCase: boolean): void {
    const start = this.#out.length;
    this.#atom(ignoreCase);
    const quantifier = /^(?:[*+?]|\{\d+(?:,\d*)?\}|\{,\d+\})/.exec(this.pattern.slice(this.#at, this.#at + 24))?.[0];
    if (!quantifier) return;
    this.#at += quantifier.length;
    this.#out.push(quantifier.replace(/^\{,/, '{0,'));
    const next = this.pattern[this.#at];
    if (next === '?') {
      this.#out.push('?');
      this.#at++;
    } else if (next === '+') {
      // {n,m}+ repeats a group in Oniguruma, it is not possessive there
      if (quantifier.startsWith('{')) throw new Untranslatable();
      this.#at++;
      const body = this.#out.splice(start).join('');
      const name = `p${this.#atomics++}`;
      this.#out.push(`(?=(?<${name}>${body}))\\k<${name}>`);
    }
  }

  #atom(ignoreCase: boolean): void {
    const char = this.#codePoint();
    switch (char) {
      case '(':
        this.#group(ignoreCase);
        return;
      case '[':
        this.#at++;
        this.#out.push(this.#class(ignoreCase));
        return;
      case '\\':
        this.#escape(ignoreCase);
        return;
      case '.':
        this.#at++;
        this.#out.push('[^\\n]');
        return;
      case '^':
        this.#at++;
        this.#out.push('(?<![^\\n])');
        return;
      case '$':
        this.#at++;
        this.#out.push('(?![^\\n])');
        return;
      case '*':
      case '+':
      case '?':
        throw new Untranslatable();
      default:
        this.#at += char.length;
        this.#out.push(literal(char, ignoreCase));
    }
  }

  #group(ignoreCase: boolean): void {
    const rest = this.pattern.slice(this.#at, this.#at + 4);
    const opening = groupOpenings.find((o) => rest.startsWith(o));
    let inner = ignoreCase;
    if (opening) {
      this.#out.push(opening);
      this.#at += opening.length;
    } else if (rest === '(?i:') {
      this.#out.push('(?:');
      this.#at += 4;
      inner = true;
    } else if (rest.startsWith('(?')) {
      throw new Untranslatable();
    } else {
      this.#out.push('(?:');
      this.#at++;
    }
    this.#alternatives(inner);
    if (this.pattern[this.#at] !== ')') throw new Untranslatable();
    this.#at++;
    const text = this.#out;
    text.push(')');
    // a quantifier applies to the whole group: keep its pieces together
    const from = lastOpening(text);
    text.push(text.splice(from).join(''));
  }

  #escape(ignoreCase: boolean): void {
    const char = this.pattern[this.#at + 1];
    if (char === undefined) throw new Untranslatable();
    const inClass = classEscapes[char];
    if (inClass !== undefined || negatedEscapes[char] !== undefined) {
      this.#at += 2;
      this.#out.push(inClass !== undefined ? `[${inClass}]` : (negatedEscapes[char] as string));
      return;
    }
    if (char === 'A' || char === 'z') {
      this.#at += 2;
      this.#out.push(char === 'A' ? '^' : '$');
      return;
    }
    if (char === 'W') {
      this.#at += 2;
      this.#out.push(`[^${classEscapes.w}]`);
      return;
    }
    this.#out.push(this.#commonEscape(ignoreCase, false));
  }

  /** Escapes that mean the same inside and outside of a class. */
  #commonEscape(ignoreCase: boolean, inClass: boolean): string {
    const rest = this.pattern.slice(this.#at, this.#at + 40);
    const property = /^\\([pP])\{(\^?)(\w+)\}/.exec(rest);
    if (property) {
      const [whole, letter, caret, name = ''] = property;
      if (caret) throw new Untranslatable();
      this.#at += whole.length;
      return `\\${letter}{${scripts.has(name) ? `Script=${name}` : name}}`;
    }
    const code = /^\\(?:x\{([0-9A-Fa-f]{1,6})\}|x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4}))/.exec(rest);
    if (code) {
      this.#at += code[0].length;
      const point = Number.parseInt(code[1] ?? code[2] ?? code[3] ?? '', 16);
      if (point > 0x10ffff) throw new Untranslatable();
      return `\\u{${point.toString(16)}}`;
    }
    const control = /^\\[rntfv]/.exec(rest);
    if (control) {
      this.#at += 2;
      return control[0];
    }
    this.#at++;
    const char = this.#codePoint();
    if (/[A-Za-z0-9]/.test(char)) throw new Untranslatable();
    this.#at += char.length;
    return inClass ? classLiteral(char, ignoreCase) : literal(char, ignoreCase);
  }

  #class(ignoreCase: boolean): string {
    let out = '[';
    if (this.pattern[this.#at] === '^') {
      out += '^';
      this.#at++;
    }
    const start = this.#at;
    for (;;) {
      const char = this.#codePoint();
      if (char === '') throw new Untranslatable();
      if (char === ']' && this.#at > start) {
        this.#at++;
        return `${out}]`;
      }
      if (char === '[' || this.pattern.startsWith('&&', this.#at)) throw new Untranslatable();
      if (char === '\\') {
        const letter = this.pattern[this.#at + 1] ?? '';
        const known = classEscapes[letter] ?? negatedEscapes[letter];
        if (known !== undefined) this.#at += 2;
        out += known ?? this.#commonEscape(ignoreCase, true);
      } else if (char === '-') {
        this.#at++;
        out += this.#at - 1 === start || this.pattern[this.#at] === ']' ? '\\-' : '-';
      } else {
        this.#at += char.length;
        const range = this.pattern[this.#at] === '-' && this.pattern[this.#at + 1] !== ']';
        if (range && ignoreCase) throw new Untranslatable();
        out += classLiteral(char, ignoreCase);
      }
    }
  }

  #codePoint(): string {
    const point = this.pattern.codePointAt(this.#at);
    return point === undefined ? '' : String.fromCodePoint(point);
  }
}

/** Index of the piece that opens the group which the last piece closes; inner groups are single pieces by then. */
function lastOpening(pieces: readonly string[]): number {
  for (let i = pieces.length - 1; i >= 0; i--) {
    const piece = pieces[i] as string;
    if (piece === '(?:' || groupOpenings.includes(piece)) return i;
  }
  throw new Untranslatable();
}

const escaped = (char: string): string => (syntaxCharacters.has(char) ? `\\${char}` : char);

function caseForms(char: string): string {
  const lower = char.toLowerCase();
  const upper = char.toUpperCase();
  if (lower === upper) return char;
  if (!/[A-Za-z]/.test(char)) throw new Untranslatable();
  return `${lower}${upper}${folds[lower] ?? ''}`;
}

const literal = (char: string, ignoreCase: boolean): string => {
  const forms = ignoreCase ? caseForms(char) : char;
  return forms === char ? escaped(char) : `[${forms}]`;
};

const classLiteral = (char: string, ignoreCase: boolean): string => {
  if (char === '-') return '\\-';
  return ignoreCase && char.toLowerCase() !== char.toUpperCase() ? caseForms(char) : escaped(char);
};
