import { type Rational, rational } from './rational.js';

export type Token =
  /** `decimals`: digits after the point, 0 for integers and for scientific notation; `spaced`: a blank stands before it */
  | { readonly kind: 'number'; readonly value: Rational; readonly decimals: number; readonly spaced: boolean }
  /** + - * / ^ ( ) [ ] { } , = % and \{ \} as set braces */
  | { readonly kind: 'sign'; readonly text: string }
  | { readonly kind: 'command'; readonly text: string }
  | { readonly kind: 'word'; readonly text: string };

/** texts beyond these are not read as mathematics */
const maxText = 2000;
const maxDigits = 400;
export const maxExponent = 400;

/** commands and signs that only set the type */
const invisible = new Set([
  'left',
  'right',
  'displaystyle',
  'textstyle',
  'quad',
  'qquad',
  '!',
  ',',
  ';',
  ':',
  ' ',
  '(',
  ')',
  '[',
  ']',
  '$',
]);
const spellings: Readonly<Record<string, string>> = {
  dfrac: 'frac',
  tfrac: 'frac',
  cfrac: 'frac',
  cdot: '*',
  times: '*',
  div: '/',
  approx: '≈',
  simeq: '≈',
  geq: '>=',
  ge: '>=',
  leq: '<=',
  le: '<=',
  gt: '>',
  lt: '<',
  neq: '!=',
  ne: '!=',
  '%': '%',
  '{': '\\{',
  '}': '\\}',
};
const textCommands = new Set([
  'text',
  'textbf',
  'textit',
  'textrm',
  'textnormal',
  'mathrm',
  'mathbf',
  'mathit',
  'mbox',
  'operatorname',
  'boxed',
  'fbox',
]);
const signs: Readonly<Record<string, string>> = {
  '−': '-',
  '–': '-',
  '×': '*',
  '·': '*',
  '÷': '/',
  '°': '°',
  '²': '^2',
  '³': '^3',
};

const isDigit = (c: string | undefined): boolean => c !== undefined && c >= '0' && c <= '9';
const isLetter = (c: string | undefined): boolean => c !== undefined && ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'));

function runOf(text: string, from: number, test: (c: string | undefined) => boolean): number {
  let end = from;
  while (test(text[end])) end++;
  return end;
}

/** Groups of exactly three digits behind `from`, each after `separator`; the place behind the last. */
function groupsEnd(text: string, from: number, separator: string): number {
  let end = from;
  while (text[end] === separator && runOf(text, end + 1, isDigit) === end + 4) end += 4;
  return end;
}

interface Scanned {
  readonly value: Rational;
  readonly decimals: number;
  readonly end: number;
}

/** A number at `from`: 1,080 or 1 080 or 12 or .5 or 3.25 or 1e-3; a comma before two digits, or after a lone 0, is a decimal comma where the caller allows it; in a list no comma belongs to a number. */
function scanNumber(text: string, from: number, decimalComma: boolean, listed: boolean): Scanned | null {
  let end = runOf(text, from, isDigit);
  if (end - from >= 1 && end - from <= 3 && text[from] !== '0') {
    const commas = listed ? end : groupsEnd(text, end, ',');
    end = commas > end ? commas : groupsEnd(text, end, ' ');
  }
  const whole = text.slice(from, end).replace(/[ ,]/g, '');
  let fraction = '';
  const point = text[end];
  if (point === '.' || (point === ',' && decimalComma)) {
    const stop = runOf(text, end + 1, isDigit);
    const digits = text.slice(end + 1, stop);
    if (point === '.' ? digits !== '' : digits.length === 2 || (whole === '0' && digits !== '')) {
      fraction = digits;
      end = stop;
    }
  }
  let exponent = 0;
  if ((text[end] === 'e' || text[end] === 'E') && whole + fraction !== '') {
    const signed = text[end + 1] === '-' || text[end + 1] === '+' ? end + 2 : end + 1;
    const stop = runOf(text, signed, isDigit);
    if (stop > signed && !isLetter(text[stop])) {
      if (stop - signed > 4) return null;
      exponent = Number(text.slice(end + 1, stop));
      end = stop;
    }
  }
  if (whole.length + fraction.length === 0 || whole.length + fraction.length > maxDigits || Math.abs(exponent) > maxExponent) return null;
  const power = exponent - fraction.length;
  const digits = BigInt(whole + fraction);
  const value = power >= 0 ? rational(digits * 10n ** BigInt(power)) : rational(digits, 10n ** BigInt(-power));
  return value && { value, decimals: exponent === 0 ? fraction.length : 0, end };
}

/** The text in braces at `from` (which is "{"), and the place behind; null where the brace is not closed. */
export function braced(text: string, from: number): { readonly inner: string; readonly end: number } | null {
  let depth = 0;
  for (let i = from; i < text.length; i++) {
    if (text[i] === '\\') i++;
    else if (text[i] === '{') depth++;
    else if (text[i] === '}' && --depth === 0) return { inner: text.slice(from + 1, i), end: i + 1 };
  }
  return null;
}

/** A command's name at `from`, which stands behind the backslash. */
const commandEnd = (text: string, from: number): number => Math.max(from + 1, runOf(text, from, isLetter));

/** Tokens of plain or LaTeX mathematics in one pass; null where the text is too long or a number is beyond the limits. */
export function tokenize(text: string): Token[] | null {
  if (text.length > maxText) return null;
  const out: Token[] = [];
  // among brackets a comma separates; elsewhere a lone one may be a decimal comma
  const listed = /[([]/.test(text);
  const decimalComma = !listed && text.split(',').length === 2 && !text.includes('{');
  let spaced = false;
  for (let at = 0; at < text.length; ) {
    const c = text[at] as string;
    if (c === ' ' || c === '\n' || c === '\t' || c === '$' || c === '~' || c === '€' || c === '£') {
      at++;
      spaced = true;
      continue;
    }
    if (isDigit(c) || (c === '.' && isDigit(text[at + 1]))) {
      const number = scanNumber(text, at, decimalComma, listed);
      if (!number) return null;
      out.push({ kind: 'number', value: number.value, decimals: number.decimals, spaced });
      at = number.end;
    } else if (c === '\\') {
      const end = commandEnd(text, at + 1);
      const name = text.slice(at + 1, end);
      at = end;
      if (textCommands.has(name) && text[at] === '{') {
        const group = braced(text, at);
        if (!group) return null;
        const inner = name === 'boxed' || name === 'fbox' ? tokenize(group.inner) : [{ kind: 'word' as const, text: group.inner.trim() }];
        if (!inner) return null;
        for (const token of inner) if (token.kind !== 'word' || token.text) out.push(token);
        at = group.end;
      } else if (spellings[name] !== undefined) out.push({ kind: 'sign', text: spellings[name] });
      else if (!invisible.has(name)) out.push({ kind: 'command', text: name });
    } else if (isLetter(c)) {
      const end = runOf(text, at, isLetter);
      out.push({ kind: 'word', text: text.slice(at, end) });
      at = end;
    } else {
      for (const sign of signs[c] ?? c) {
        if (isDigit(sign)) out.push({ kind: 'number', value: { n: BigInt(sign), d: 1n }, decimals: 0, spaced: false });
        else out.push({ kind: 'sign', text: sign });
      }
      at++;
    }
    spaced = false;
  }
  return out.map((t): Token => (t.kind === 'sign' && t.text === 'frac' ? { kind: 'command', text: 'frac' } : t));
}
