import { asArray, asRecord, asString, isRecord, type JsonRecord } from './json.js';
import { precompiledNormalizer } from './precompiled.js';
import { literalRegex, translateRegex } from './regex.js';
import { bertNormalizer, lowerCase } from './wordPiece.js';

export type Normalizer = (text: string) => string;

const unicodeForms = new Set(['NFC', 'NFD', 'NFKC', 'NFKD']);

/** Normalizer of a tokenizer.json; null where it uses something that this module does not state exactly. */
export function buildNormalizer(spec: unknown): Normalizer | null {
  if (spec === null || spec === undefined) return (text) => text;
  const record = asRecord(spec, 'normalizer');
  const type = asString(record.type, 'normalizer.type');
  if (unicodeForms.has(type)) return (text) => text.normalize(type);
  switch (type) {
    case 'Sequence': {
      const steps = asArray(record.normalizers, 'normalizer.normalizers').map(buildNormalizer);
      if (steps.includes(null)) return null;
      return (text) => steps.reduce((t, step) => (step ? step(t) : t), text);
    }
    case 'Prepend': {
      const prefix = asString(record.prepend, 'normalizer.prepend');
      return (text) => (text === '' ? text : prefix + text);
    }
    case 'Replace':
      return buildReplace(record);
    case 'Lowercase':
      return lowerCase;
    case 'BertNormalizer':
      return bertNormalizer(record);
    case 'Strip': {
      const left = record.strip_left !== false;
      const right = record.strip_right !== false;
      return (text) => text.replace(left ? /^\p{White_Space}+/u : /(?:)/, '').replace(right ? /\p{White_Space}+$/u : /(?:)/, '');
    }
    case 'StripAccents':
      return (text) => text.replace(/\p{Mn}/gu, '');
    case 'Precompiled':
      return precompiledNormalizer(asString(record.precompiled_charsmap, 'normalizer.precompiled_charsmap'));
    default:
      return null;
  }
}

function buildReplace(record: JsonRecord): Normalizer | null {
  const content = asString(record.content, 'normalizer.content');
  const pattern = readPattern(record.pattern);
  return pattern && ((text) => text.replace(pattern, () => content));
}

/** The `gu` regular expression of {"String": ...} or {"Regex": ...}; null where it cannot be stated in JavaScript. */
export function readPattern(pattern: unknown): RegExp | null {
  if (!isRecord(pattern)) return null;
  if (typeof pattern.String === 'string') return literalRegex(pattern.String);
  return typeof pattern.Regex === 'string' ? translateRegex(pattern.Regex) : null;
}
