import { VitroError } from '../../tensor/errors.js';
import { type AddedToken, AddedTokenMatcher } from './addedTokens.js';
import { byteToChar, utf8 } from './bytes.js';
import { byteLevelSpec } from './decoder.js';
import { tokenizerFromJson } from './huggingFace.js';
import { PairCounts } from './pairCounts.js';
import { namedPatterns } from './patterns.js';
import { buildPreTokenizer, type PreTokenizer } from './preTokenizer.js';
import type { SerializableTokenizer } from './subwordTokenizer.js';

export interface TrainBpeOptions {
  /** ids in all: special tokens, 256 bytes, merges */
  readonly vocab_size: number;
  /** texts with the ids 0, 1, ... in this order; they are cut out of the training texts */
  readonly special_tokens?: readonly string[];
  readonly bos_token?: string;
  readonly eos_token?: string;
  readonly pad_token?: string;
  /** what cuts texts into pieces that merges never cross: gpt2 (default), llama3, cl100k, qwen2, o200k, or a regular expression */
  readonly pattern?: string;
  /** pairs that occur less often are not merged (default 2) */
  readonly min_frequency?: number;
  /** called now and then with the number of merges so far and the number wanted */
  readonly onProgress?: (merges: number, wanted: number) => void;
}

/**
 * Trains a byte-level BPE vocabulary (Sennrich et al. 2016, arXiv:1508.07909): merges the most frequent pair again and again; of equally
 * frequent pairs the one of lowest ids. Counts are kept up to date by the changes of each merge. Ids and merges equal those of Hugging
 * Face's BpeTrainer with the full byte alphabet. Stops early where no pair occurs `min_frequency` times.
 */
export function trainByteLevelBpe(texts: Iterable<string>, options: TrainBpeOptions): SerializableTokenizer {
  const { vocab_size, special_tokens = [], pattern = 'gpt2', min_frequency = 2, onProgress } = options;
  const firstMerge = special_tokens.length + 256;
  if (!Number.isInteger(vocab_size) || vocab_size < firstMerge || vocab_size > 2 ** 21)
    throw new VitroError(
      `vocab_size is ${vocab_size}; 256 bytes and ${special_tokens.length} special tokens need ${firstMerge} to ${2 ** 21} ids`,
    );
  if (!Number.isInteger(min_frequency) || min_frequency < 1)
    throw new VitroError(`min_frequency is ${min_frequency}; expected an integer from 1`);
  if (new Set(special_tokens).size < special_tokens.length || special_tokens.some((t) => t === '' || byteToChar.includes(t)))
    throw new VitroError(`special_tokens must differ, have characters, and not be single bytes: ${JSON.stringify(special_tokens)}`);
  const roles = Object.fromEntries(
    (['bos_token', 'eos_token', 'pad_token'] as const).flatMap((role) => (options[role] === undefined ? [] : [[role, options[role]]])),
  );
  for (const token of Object.values(roles))
    if (!special_tokens.includes(token as string)) throw new VitroError(`${JSON.stringify(token)} is not among special_tokens`);
  const preTokenizer = preTokenizerSpec(pattern);
  const pre = buildPreTokenizer(preTokenizer);
  if (!pre)
    throw new VitroError(
      `pattern ${JSON.stringify(pattern)} is neither a name (${Object.keys(namedPatterns).join(', ')}) nor a usable regular expression`,
    );

  const added = special_tokens.map(
    (content, id): AddedToken => ({ id, content, special: true, single_word: false, lstrip: false, rstrip: false, normalized: false }),
  );
  // ids of bytes follow the order of their characters
  const alphabet = [...byteToChar].sort((a, b) => a.charCodeAt(0) - b.charCodeAt(0));
  const names = [...special_tokens, ...alphabet];
  const idOfByte = byteToChar.map((char) => special_tokens.length + alphabet.indexOf(char));
  const counts = new PairCounts(countWords(texts, pre, new AddedTokenMatcher(added)), (word) =>
    Array.from(utf8(word), (byte) => idOfByte[byte] as number),
  );
  const merges: [string, string][] = [];
  const wanted = vocab_size - firstMerge;
  while (merges.length < wanted) {
    const best = counts.best(min_frequency);
    if (!best) break;
    const [left, right] = [names[best[0]] as string, names[best[1]] as string];
    counts.merge(best, names.length);
    names.push(left + right);
    merges.push([left, right]);
    if (merges.length % 64 === 0) onProgress?.(merges.length, wanted);
  }
  onProgress?.(merges.length, wanted);
  const vocab = Object.fromEntries(names.map((name, id) => [name, id]));
  return tokenizerFromJson(
    {
      version: '1.0',
      truncation: null,
      padding: null,
      added_tokens: added,
      normalizer: null,
      pre_tokenizer: preTokenizer,
      post_processor: null,
      decoder: byteLevelSpec,
      model: { type: 'BPE', dropout: null, unk_token: null, fuse_unk: false, byte_fallback: false, ignore_merges: false, vocab, merges },
    },
    { tokenizer_class: 'PreTrainedTokenizerFast', ...roles },
  );
}

function preTokenizerSpec(pattern: string): unknown {
  if (pattern === 'gpt2') return { ...byteLevelSpec, use_regex: true };
  const Regex = Object.hasOwn(namedPatterns, pattern) ? namedPatterns[pattern] : pattern;
  return { type: 'Sequence', pretokenizers: [{ type: 'Split', pattern: { Regex }, behavior: 'Isolated', invert: false }, byteLevelSpec] };
}

function countWords(texts: Iterable<string>, pre: PreTokenizer, specials: AddedTokenMatcher): Map<string, number> {
  const words = new Map<string, number>();
  const count = (word: string): unknown => words.set(word, (words.get(word) ?? 0) + 1);
  for (const text of texts)
    specials.split(
      text,
      (section, at) => pre.cut(section, at === 0, count),
      () => undefined,
    );
  return words;
}
