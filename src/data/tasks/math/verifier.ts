import type { Rational } from './rational.js';
import { braced, type Token, tokenize } from './tokens.js';
import { type Unit, unitOf } from './units.js';
import { type MathNumber, readValue, sameNumber, scaled } from './value.js';

/** What an answer says: a number with percent sign and unit, several values, or a text. */
export type MathAnswer =
  | { readonly kind: 'number'; readonly value: MathNumber; readonly percent: boolean; readonly unit: Unit | undefined }
  | { readonly kind: 'list'; readonly open: string; readonly close: string; readonly items: readonly MathAnswer[] }
  | { readonly kind: 'text'; readonly text: string };

/** completions are judged by their end: at most this many characters of it are read */
const maxCompletion = 20_000;

const isSign = (token: Token | undefined, text: string): boolean => token?.kind === 'sign' && token.text === text;

const percentWords = new Set(['percent', 'percentage', 'pct']);

function write(token: Token): string {
  if (token.kind === 'number') return token.value.d === 1n ? `${token.value.n}` : `${token.value.n}/${token.value.d}`;
  return token.kind === 'command' ? `\\${token.text}` : token.text.toLowerCase().replace(/[\s.]+/g, '');
}

/** What no number is: compared as a text without blanks, case and outer parentheses. */
function asText(tokens: readonly Token[]): MathAnswer {
  const text = tokens.map(write).join('').replace(/\.+$/, '');
  return { kind: 'text', text: text.startsWith('(') && text.endsWith(')') ? text.slice(1, -1) : text };
}

/** Parts between signs `text` outside of all brackets. */
function splitAt(tokens: readonly Token[], text: string): Token[][] {
  const parts: Token[][] = [[]];
  let depth = 0;
  for (const token of tokens) {
    if (token.kind === 'sign' && ['(', '[', '{', '\\{'].includes(token.text)) depth++;
    if (token.kind === 'sign' && [')', ']', '}', '\\}'].includes(token.text)) depth--;
    if (depth === 0 && isSign(token, text)) parts.push([]);
    else parts.at(-1)?.push(token);
  }
  return parts;
}

/** A number and nothing but its percent sign or unit behind it. */
function asNumber(tokens: readonly Token[]): MathAnswer | null {
  const read = readValue(tokens);
  if (!read) return null;
  let percent = false;
  let unit: Unit | undefined;
  const rest = tokens.slice(read.next);
  // a single letter behind a number may be a variable: only known units are one
  const [first] = rest;
  if (first?.kind === 'word' && first.text.length === 1 && !unitOf(first.text)) return null;
  for (const [i, token] of rest.entries()) {
    if (isSign(token, '%') || (token.kind === 'word' && percentWords.has(token.text.toLowerCase()))) percent = true;
    else if (token.kind === 'word' && i === 0) unit = rest.some((t) => isSign(t, '^')) ? undefined : unitOf(token.text);
    else if (
      token.kind === 'number' ? !isSign(rest[i - 1], '^') : token.kind === 'sign' && !['°', '^', '.', '{', '}', '!'].includes(token.text)
    )
      return null;
    else if (isSign(token, '!') || (token.kind === 'command' && token.text !== 'circ')) return null;
  }
  return { kind: 'number', value: read.value, percent, unit };
}

/** Whether all of the tokens are one value. */
const isValue = (tokens: readonly Token[]): boolean => readValue(tokens)?.next === tokens.length;

/** x = 5 and x \\in [0, 1] without the name */
function withoutName(tokens: readonly Token[]): readonly Token[] {
  const [name, sign] = tokens;
  const isName = name?.kind === 'word' || name?.kind === 'command';
  const isMember = sign?.kind === 'command' && sign.text === 'in';
  return isName && isMember && tokens.length > 2 ? tokens.slice(2) : tokens;
}

/**
 * What an equation says of its name: the part behind the last equals sign, where all before is a name or numbers. Of a value and its rounding, the value.
 */
function lastSide(tokens: readonly Token[]): readonly Token[] {
  const around = splitAt(tokens, '≈');
  const [first = [], ...rest] = around;
  const exact = rest.length === 0 || isValue(first) || splitAt(first, '=').length > 1 ? first : (rest.at(-1) ?? first);
  const sides = splitAt(exact, '=');
  const last = sides.at(-1) ?? [];
  const named = sides[0]?.length === 1 && (sides[0][0]?.kind === 'word' || sides[0][0]?.kind === 'command');
  const chained = sides.slice(named ? 1 : 0, -1).every(isValue) && (named || isValue(last));
  return withoutName(sides.length > 1 && last.length > 0 && chained ? last : exact);
}

const closers: Readonly<Record<string, readonly string[]>> = { '(': [')', ']'], '[': [']', ')'], '\\{': ['\\}'], '{': ['}'] };

function asList(tokens: readonly Token[]): MathAnswer | null {
  const [first, last] = [tokens[0], tokens.at(-1)];
  const enclosed =
    first?.kind === 'sign' &&
    last?.kind === 'sign' &&
    (closers[first.text]?.includes(last.text) ?? false) &&
    splitAt(tokens.slice(1, -1), ',').length > 1;
  const parts = splitAt(enclosed ? tokens.slice(1, -1) : tokens, ',');
  if (parts.length < 2 || parts.some((p) => p.length === 0)) return null;
  const items = parts.map((part) => asNumber(part) ?? asText(part));
  const [open, close] = enclosed ? [write(first), write(last)] : ['', ''];
  return { kind: 'list', open: open === '{' ? '' : open, close: close === '}' ? '' : close, items };
}

/** Commands that were escaped twice, and thousands written 1{,}000 or 1,\\! 000, in their usual form. */
const plainLatex = (text: string): string =>
  text
    .replace(/\\\\(?=[a-zA-Z])/g, '\\')
    .replaceAll('{,}', ',')
    .replace(/\\! ?/g, '');

/** Reads an answer that stands alone. Null for an empty text and for one beyond the limits (length, digits, exponents, nesting). */
export function parseMath(text: string): MathAnswer | null {
  const tokens = tokenize(plainLatex(text).trim());
  if (!tokens || tokens.length === 0) return null;
  const stripped = isSign(tokens.at(-1), '.') ? tokens.slice(0, -1) : tokens;
  const side = lastSide(stripped);
  return asNumber(side) ?? asList(side) ?? asText(side);
}

const hundredth: Rational = { n: 1n, d: 100n };

function sameValue(a: MathAnswer & { kind: 'number' }, b: MathAnswer & { kind: 'number' }): boolean {
  if (a.unit && b.unit)
    return a.unit.dimension === b.unit.dimension && sameNumber(scaled(a.value, a.unit.factor), scaled(b.value, b.unit.factor));
  if (sameNumber(a.value, b.value)) return true;
  // 28% may be asked for as 28 or as 0.28
  if (a.percent === b.percent) return false;
  const share = (x: typeof a): MathNumber => (x.percent ? scaled(x.value, hundredth) : x.value);
  return sameNumber(share(a), share(b));
}

/** Whether two answers mean the same. Lists in brackets are ordered, others and sets are not. */
export function sameAnswer(a: MathAnswer, b: MathAnswer): boolean {
  if (a.kind === 'number' && b.kind === 'number') return sameValue(a, b);
  if (a.kind === 'list' && b.kind === 'list') {
    if (a.open !== b.open || a.close !== b.close || a.items.length !== b.items.length) return false;
    if (a.open !== '' && a.open !== '\\{') return a.items.every((item, i) => sameAnswer(item, b.items[i] as MathAnswer));
    const left = [...b.items];
    return a.items.every((item) => {
      const at = left.findIndex((other) => sameAnswer(item, other));
      if (at >= 0) left.splice(at, 1);
      return at >= 0;
    });
  }
  return a.kind === 'text' && b.kind === 'text' && a.text !== '' && a.text === b.text;
}

/** Content of the last \boxed or \fbox; also of one that was cut off before its brace closed, and of `\boxed 5`. */
function lastBoxed(text: string): string | null {
  const at = Math.max(text.lastIndexOf('\\boxed'), text.lastIndexOf('\\fbox'));
  if (at < 0) return null;
  const brace = text.indexOf('{', at);
  const bare = text.slice(at).replace(/^\\\w+/, '');
  if (brace < 0 || bare.trimStart()[0] !== '{') return bare.trim().split(/[\s$]/, 1)[0] ?? null;
  const group = braced(text, brace);
  if (!group) return text.slice(brace + 1).split('$', 1)[0] ?? null;
  const percent = /^\s*\$?\s*(%|\\%|percent\b|pct\b)/.exec(text.slice(group.end, group.end + 20));
  return percent ? `${group.inner}%` : group.inner;
}

/** What follows the last #### (or a # right before the answer), up to the end of the line. */
function marked(text: string): string | null {
  const at = text.lastIndexOf('#');
  if (at < 0 || !(text.slice(Math.max(0, at - 3), at + 1) === '####' || /[-+\d.$\\(]/.test(text[at + 1] ?? ''))) return null;
  return (
    text
      .slice(at + 1)
      .split('\n', 1)[0]
      ?.trim() || null
  );
}

/** What follows the last "answer is" or "answer:", up to the end of the sentence. */
function announced(text: string): string | null {
  const lower = text.toLowerCase();
  const at = lower.lastIndexOf('answer');
  if (at < 0) return null;
  const tail = text.slice(at + 6, at + 400);
  const lead = /^\s*(is|are|:|=)[\s:*]*/.exec(tail.replace(/^\*+/, ''));
  if (!lead) return null;
  const line = tail.replace(/^\*+/, '').slice(lead[0].length).split('\n', 1)[0] ?? '';
  return (
    line
      .replace(/\.(\s.*)?$/, '')
      .replace(/\*+/g, '')
      .trim() || null
  );
}

/** The last formula between $ signs, \\( \\) or \\[ \\], and where it ends. */
function lastFormula(text: string): { readonly text: string; readonly end: number } | null {
  let found: { text: string; end: number } | null = null;
  for (const [open, close] of [
    ['$$', '$$'],
    ['$', '$'],
    ['\\[', '\\]'],
    ['\\(', '\\)'],
  ] as const) {
    const end = text.lastIndexOf(close);
    const start = end > 0 ? text.lastIndexOf(open, end - 1) : -1;
    if (start < 0 || start + open.length >= end || (found && found.end >= end)) continue;
    found = { text: text.slice(start + open.length, end), end: end + close.length };
  }
  return found;
}

const numberForm =
  /-?\$?\d{1,3}(?:,\d{3})+(?:\.\d+)?|-?\$?(?:\d{1,40}(?:[.,]\d{1,40})?|\.\d{1,40})(?:[eE][-+]?\d{1,3})?(?: ?\/ ?\d{1,40})?/g;

/** The last number in a text, with its percent sign. */
function lastNumber(text: string): string | null {
  let found: string | null = null;
  const tail = text.slice(-2000);
  for (const match of tail.matchAll(numberForm)) {
    // A2 is a name, and so is what a minus between words belongs to
    const before = tail[match.index - 1];
    if (before !== undefined && /[A-Za-z_\\^]/.test(before)) continue;
    const percent = /^\s*(%|\\%|percent\b)/.exec(tail.slice(match.index + match[0].length, match.index + match[0].length + 12));
    found = percent ? `${match[0]}%` : match[0];
  }
  return found;
}

/** What a text marks as its answer: the last \\boxed, else what follows ####. */
const markedAnswer = (text: string): string | null => lastBoxed(text) ?? marked(text);

/** Whether a formula may be a symbolic answer: it holds no words. */
const isSymbolic = (formula: string): boolean => !/[A-Za-z]{2,} +[A-Za-z]/.test(formula);

/**
 * The final answer of a completion as it was written: the last \\boxed, else what follows ####, else all of it if it is a number, else what follows
 * "answer is", else the last formula, else the last number. Null where there is none. Only the last 20,000 characters are read.
 */
export function extractMathAnswer(completion: string): string | null {
  const text = plainLatex(completion.slice(-maxCompletion));
  const stated = markedAnswer(text);
  if (stated !== null) return stated;
  if (readable(text)) return text.trim();
  const named = announced(text);
  if (named !== null && readable(named)) return named;
  const formula = lastFormula(text);
  if (formula !== null && readable(formula.text)) return formula.text;
  const behind = formula && lastNumber(text.slice(formula.end));
  if (formula && behind === null && isSymbolic(formula.text)) return formula.text.trim();
  return behind ?? (named === null ? null : lastNumber(named)) ?? lastNumber(text);
}

/** Whether a text is an answer as it stands: a number, or a short list of numbers. */
function readable(text: string): boolean {
  if (text.length > 200) return false;
  const answer = parseMath(text);
  return answer?.kind === 'number' || (answer?.kind === 'list' && answer.items.every((item) => item.kind === 'number'));
}

/** Whether two answers, each standing alone, mean the same. */
export function mathEqual(a: string, b: string): boolean {
  const [left, right] = [parseMath(a), parseMath(b)];
  return left !== null && right !== null && sameAnswer(left, right);
}

/**
 * 1 where a completion's final answer means the same as the reference, else 0. Reads numbers with thousands separators, decimals, fractions, mixed numbers,
 * percent, units, money, scientific notation, LaTeX (\frac, \sqrt, \boxed, \text), lists and intervals; anything symbolic is compared as text. Never throws, and
 * time is linear in the completion's length.
 */
export function mathVerifier(completion: string, reference: string): number {
  const answer = extractMathAnswer(completion);
  if (answer === null) return 0;
  if (mathEqual(answer, reference)) return 1;
  const inner = markedAnswer(plainLatex(reference.slice(-maxCompletion)));
  return inner !== null && mathEqual(answer, inner) ? 1 : 0;
}
