import { toByteChars } from './bytes.js';
import { asArray, asRecord, asString, type JsonRecord } from './json.js';
import { readPattern } from './normalizer.js';
import { gpt2Pattern } from './patterns.js';
import { translateRegex, wordCharacter } from './regex.js';
import { type Splitter, splitBehavior, splitter } from './split.js';

/** Cuts one section of a text (what lies between added tokens); `first` is true for a section at the very start of the text. */
type Step = (text: string, first: boolean, emit: (piece: string) => void) => void;

/**
 * Pre-tokenizer of a tokenizer.json in two halves, so that ids can be cached by the pieces in between: `cut` yields pieces of the raw
 * text, `finish` yields what the model sees of one piece, independent of everything around it.
 */
export interface PreTokenizer {
  readonly cut: Step;
  readonly finish: (piece: string) => readonly string[];
  /** pieces are spelled in byte-level characters */
  readonly byte_level: boolean;
}

/** Null where the specification uses something that this module does not state exactly. */
export function buildPreTokenizer(spec: unknown): PreTokenizer | null {
  const specs = flatten(spec);
  const byteLevel = specs.findIndex((s) => s.type === 'ByteLevel');
  const heads = specs.slice(0, byteLevel < 0 ? specs.length : byteLevel + 1).map(buildStep);
  const tails = byteLevel < 0 ? [] : specs.slice(byteLevel + 1).map(buildStep);
  const steps = compact(heads);
  const after = compact(tails);
  if (!steps || !after || specs.slice(byteLevel + 1).some((s) => s.type === 'ByteLevel' && byteLevel >= 0)) return null;
  return {
    cut: steps.reduceRight<Step>(
      (inner, step) => (text, first, emit) => {
        let start = first;
        step(text, first, (piece) => {
          inner(piece, start, emit);
          start = false;
        });
      },
      (text, _first, emit) => {
        if (text !== '') emit(text);
      },
    ),
    finish: (piece) => {
      let pieces = [byteLevel < 0 ? piece : toByteChars(piece)];
      for (const step of after) {
        const next: string[] = [];
        for (const p of pieces) step(p, false, (q) => next.push(q));
        pieces = next;
      }
      return pieces.filter((p) => p !== '');
    },
    byte_level: byteLevel >= 0,
  };
}

const compact = (steps: readonly (Step | null)[]): Step[] | null =>
  steps.some((s) => s === null) ? null : steps.filter((s) => s !== null);

function flatten(spec: unknown): JsonRecord[] {
  if (spec === null || spec === undefined) return [];
  const record = asRecord(spec, 'pre_tokenizer');
  if (asString(record.type, 'pre_tokenizer.type') !== 'Sequence') return [record];
  return asArray(record.pretokenizers, 'pre_tokenizer.pretokenizers').flatMap(flatten);
}

const plain =
  (split: Splitter): Step =>
  (text, _first, emit) =>
    split(text, emit);

function buildStep(spec: JsonRecord): Step | null {
  switch (spec.type) {
    case 'Split': {
      const pattern = readPattern(spec.pattern);
      return pattern && plain(splitter(pattern, splitBehavior(spec.behavior), spec.invert === true));
    }
    case 'ByteLevel':
      return byteLevelStep(spec);
    case 'Digits':
      return plain(splitter(spec.individual_digits === true ? /\p{N}/gu : /\p{N}+/gu, 'Isolated'));
    case 'Punctuation':
      return plain(splitter(punctuationMark, splitBehavior(spec.behavior ?? 'Isolated')));
    case 'Whitespace':
      return plain(splitter(new RegExp(`[${wordCharacter}]+|[^${wordCharacter}\\p{White_Space}]+`, 'gu'), 'Removed', true));
    case 'WhitespaceSplit':
      return plain(splitter(/\p{White_Space}/gu, 'Removed'));
    case 'BertPreTokenizer':
      return bertStep;
    case 'Metaspace':
      return metaspaceStep(spec);
    default:
      return null;
  }
}

const words = splitter(/\p{White_Space}+/gu, 'Removed');
const punctuationMark = /[!-/:-@[-`{-~\p{P}]/gu;
const punctuation = splitter(punctuationMark, 'Isolated');
const bertStep: Step = (text, _first, emit) => words(text, (word) => punctuation(word, emit));

function byteLevelStep(spec: JsonRecord): Step | null {
  const pattern = translateRegex(gpt2Pattern);
  const cut: Splitter | null = spec.use_regex === false ? (text, emit) => emit(text) : pattern && splitter(pattern, 'Isolated');
  if (!cut) return null;
  if (spec.add_prefix_space !== true) return plain(cut);
  return (text, _first, emit) => cut(text === '' || text.startsWith(' ') ? text : ` ${text}`, emit);
}

/** SentencePiece's "▁" for spaces: `prepend_scheme` says where a text without a leading space gets one. */
function metaspaceStep(spec: JsonRecord): Step {
  const mark = typeof spec.replacement === 'string' ? spec.replacement : '▁';
  const scheme = spec.prepend_scheme ?? (spec.add_prefix_space === false ? 'never' : 'always');
  return (text, first, emit) => {
    let marked = text.replaceAll(' ', mark);
    if ((scheme === 'always' || (scheme === 'first' && first)) && marked !== '' && !marked.startsWith(mark)) marked = mark + marked;
    if (spec.split === false) return emit(marked);
    let from = 0;
    for (let at = marked.indexOf(mark, 1); at >= 0; at = marked.indexOf(mark, at + 1)) {
      emit(marked.slice(from, at));
      from = at;
    }
    emit(marked.slice(from));
  };
}
