import { closest } from 'fastest-levenshtein';
import { VitroError } from '../../tensor/errors.js';
import type { AddedToken } from './addedTokens.js';
import { BpeModel, rulesFromMerges } from './bpe.js';
import type { TokenizerConfig } from './config.js';
import { byteLevelSpec } from './decoder.js';
import { ggufPreTokenizers } from './ggufPatterns.js';
import { tokenizerFromJson } from './huggingFace.js';
import { type PieceKind, pieceTokenizer } from './pieces.js';
import { templateOf } from './postProcessor.js';
import { type SerializableTokenizer, SubwordTokenizer } from './subwordTokenizer.js';

const kinds: readonly (PieceKind | undefined)[] = [undefined, 'normal', 'unknown', 'control', 'user_defined', 'unused', 'byte'];

/**
 * A tokenizer from the metadata of a GGUF file, keys as in the file ("tokenizer.ggml.tokens", ...). Models: `gpt2` (byte-level BPE, with the
 * pre-tokenizer that `tokenizer.ggml.pre` names), `llama` (SentencePiece BPE), `t5` (SentencePiece unigram), `bert` (WordPiece).
 * @throws VitroError where keys are missing or of the wrong kind, or the vocabulary is of another model
 */
export function tokenizerFromGgufMetadata(metadata: Readonly<Record<string, unknown>>): SerializableTokenizer {
  const vocabulary = readVocabulary(metadata);
  switch (vocabulary.model) {
    case 'gpt2':
      return byteLevel(vocabulary);
    case 'llama':
    case 't5':
      return sentencePiece(vocabulary);
    case 'bert':
      return wordPiece(vocabulary);
    default:
      throw new VitroError(`tokenizer.ggml.model ${JSON.stringify(vocabulary.model)} is not supported; expected gpt2, llama, t5 or bert`);
  }
}

interface GgufVocabulary {
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly model: string;
  readonly tokens: readonly string[];
  readonly kindOf: (id: number) => PieceKind;
  readonly special: (name: string) => number | undefined;
  readonly config: TokenizerConfig;
}

function readVocabulary(metadata: Readonly<Record<string, unknown>>): GgufVocabulary {
  const model = metadata['tokenizer.ggml.model'];
  if (typeof model !== 'string') throw new VitroError('the GGUF metadata has no tokenizer.ggml.model; this file carries no vocabulary');
  const tokens = texts(metadata, 'tokens');
  const types = metadata['tokenizer.ggml.token_type'] === undefined ? null : numbers(metadata, 'token_type', tokens.length);
  const special = (name: string): number | undefined => {
    const value = metadata[`tokenizer.ggml.${name}_token_id`];
    if (value === undefined || value === null) return undefined;
    const id = Number(value);
    if (!Number.isInteger(id) || id < 0 || id >= tokens.length)
      throw new VitroError(`tokenizer.ggml.${name}_token_id is ${String(value)}, outside of ${tokens.length} tokens`);
    return id;
  };
  const text = (id: number | undefined): string | undefined => (id === undefined ? undefined : tokens[id]);
  const template = metadata['tokenizer.chat_template'];
  return {
    metadata,
    model,
    tokens,
    kindOf: (id) => kinds[types?.[id] ?? 1] ?? 'normal',
    special,
    config: {
      tokenizer_class: 'PreTrainedTokenizerFast',
      bos_token: text(special('bos') ?? special('cls')),
      eos_token: text(special('eos') ?? special('seperator')),
      pad_token: text(special('padding')),
      ...(typeof template === 'string' ? { chat_template: template } : {}),
    },
  };
}

function texts(metadata: Readonly<Record<string, unknown>>, name: string): readonly string[] {
  const value = metadata[`tokenizer.ggml.${name}`];
  if (!Array.isArray(value) || value.length === 0 || value.some((item) => typeof item !== 'string'))
    throw new VitroError(`tokenizer.ggml.${name} must be a list of strings`);
  return value as readonly string[];
}

function numbers(metadata: Readonly<Record<string, unknown>>, name: string, length: number): readonly number[] {
  const value = metadata[`tokenizer.ggml.${name}`];
  const list = Array.isArray(value) || ArrayBuffer.isView(value) ? Array.from(value as unknown as ArrayLike<unknown>, Number) : [];
  if (list.length !== length || list.some((item) => Number.isNaN(item)))
    throw new VitroError(`tokenizer.ggml.${name} must be a list of ${length} numbers, one for each token`);
  return list;
}

function flag({ metadata }: GgufVocabulary, name: string, fallback: boolean): boolean {
  const value = metadata[`tokenizer.ggml.${name}`];
  return typeof value === 'boolean' ? value : fallback;
}

function addedTokens({ tokens, kindOf }: GgufVocabulary): AddedToken[] {
  return tokens.flatMap((content, id) => {
    const kind = kindOf(id);
    if (content === '' || (kind !== 'control' && kind !== 'user_defined' && kind !== 'unknown')) return [];
    return [{ id, content, special: kind !== 'user_defined', single_word: false, lstrip: false, rstrip: false, normalized: false }];
  });
}

function byteLevel(vocabulary: GgufVocabulary): SerializableTokenizer {
  const { metadata, tokens, special } = vocabulary;
  const pre = metadata['tokenizer.ggml.pre'] ?? 'default';
  const known = typeof pre === 'string' && Object.hasOwn(ggufPreTokenizers, pre) ? ggufPreTokenizers[pre] : undefined;
  if (!known) {
    const nearest = closest(String(pre), Object.keys(ggufPreTokenizers));
    throw new VitroError(`tokenizer.ggml.pre ${JSON.stringify(pre)} is not known; the nearest known one is ${JSON.stringify(nearest)}`);
  }
  const vocab = new Map(tokens.map((token, id) => [token, id]));
  const framed = (name: string, add: boolean): [string, number][] => {
    const id = special(name);
    return add && id !== undefined ? [[tokens[id] as string, id]] : [];
  };
  const spec = {
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [
        ...known.patterns.map((Regex) => ({ type: 'Split', pattern: { Regex }, behavior: 'Isolated', invert: false })),
        byteLevelSpec,
      ],
    },
    post_processor: templateOf(
      framed('bos', flag(vocabulary, 'add_bos_token', known.add_bos ?? false)),
      framed('eos', flag(vocabulary, 'add_eos_token', false)),
    ),
    decoder: byteLevelSpec,
    added_tokens: addedTokens(vocabulary),
  };
  const { 'tokenizer.ggml.merges': merges } = metadata;
  const mergeless = Array.isArray(merges) && merges.length === 0;
  const rules = rulesFromMerges(mergeless ? [] : texts(metadata, 'merges'), vocab);
  const tokenizer = SubwordTokenizer.assemble(spec, new BpeModel({ vocab, rules, ignore_merges: known.ignore_merges }), vocabulary.config);
  if (!tokenizer)
    throw new VitroError(`the patterns of tokenizer.ggml.pre ${JSON.stringify(pre)} cannot be stated as JavaScript regular expressions`);
  return tokenizer;
}

function sentencePiece(vocabulary: GgufVocabulary): SerializableTokenizer {
  const { metadata, tokens, kindOf, special, config } = vocabulary;
  const scores = numbers(metadata, 'scores', tokens.length);
  const isBpe = vocabulary.model === 'llama';
  const charsmap = metadata['tokenizer.ggml.precompiled_charsmap'];
  return pieceTokenizer(
    {
      pieces: tokens.map((text, id) => ({ text, score: scores[id] as number, kind: kindOf(id) })),
      algorithm: isBpe ? 'bpe' : 'unigram',
      bos_id: special('bos'),
      eos_id: special('eos'),
      pad_id: special('padding'),
      add_dummy_prefix: flag(vocabulary, 'add_space_prefix', true),
      remove_extra_whitespaces: flag(vocabulary, 'remove_extra_whitespaces', false),
      add_bos: flag(vocabulary, 'add_bos_token', isBpe),
      add_eos: flag(vocabulary, 'add_eos_token', !isBpe),
      ...(Array.isArray(charsmap) || ArrayBuffer.isView(charsmap)
        ? { charsmap: Uint8Array.from(charsmap as unknown as ArrayLike<number>) }
        : {}),
    },
    config,
  );
}

/** llama.cpp marks the starts of words with "▁" where BERT marks continuations with "##". */
function wordPiece(vocabulary: GgufVocabulary): SerializableTokenizer {
  const { tokens, kindOf, special, config } = vocabulary;
  const vocab = tokens.map((token, id): [string, number] => {
    if (token.startsWith('▁')) return [token.slice(1), id];
    return [kindOf(id) === 'normal' && !/^\[.*\]$/.test(token) ? `##${token}` : token, id];
  });
  const framed = (name: string): [string, number][] => {
    const id = special(name);
    return id === undefined ? [] : [[tokens[id] as string, id]];
  };
  const unknown = special('unknown');
  return tokenizerFromJson(
    {
      version: '1.0',
      truncation: null,
      padding: null,
      added_tokens: addedTokens(vocabulary),
      normalizer: { type: 'BertNormalizer', clean_text: true, handle_chinese_chars: true, strip_accents: null, lowercase: true },
      pre_tokenizer: { type: 'BertPreTokenizer' },
      post_processor: templateOf(framed('cls'), framed('seperator')),
      decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
      model: {
        type: 'WordPiece',
        unk_token: unknown === undefined ? '[UNK]' : tokens[unknown],
        continuing_subword_prefix: '##',
        max_input_chars_per_word: 100,
        vocab: Object.fromEntries(vocab),
      },
    },
    config,
  );
}
