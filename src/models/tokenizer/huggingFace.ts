import { VitroError } from '../../tensor/errors.js';
import { BpeModel, rulesFromMerges } from './bpe.js';
import { specialText, type TokenizerConfig } from './config.js';
import { asArray, asRecord, asString, asTokenId, isRecord, type JsonRecord } from './json.js';
import { LibraryTokenizer } from './libraryTokenizer.js';
import type { SubwordModel } from './model.js';
import { type SerializableTokenizer, SubwordTokenizer } from './subwordTokenizer.js';
import { UnigramModel } from './unigram.js';
import { WordPieceModel } from './wordPiece.js';

/**
 * A tokenizer from the contents of a Hugging Face tokenizer.json. The common pipelines (byte-level and SentencePiece-like BPE,
 * unigram, WordPiece) run in Vitro's own encoder, any other in @huggingface/tokenizers.
 * @param json the parsed tokenizer.json
 * @param config the parsed tokenizer_config.json, if any
 * @param specialTokensMap the parsed special_tokens_map.json, if any; the configuration wins
 * @throws VitroError where the file is damaged or neither encoder knows its pipeline
 */
export function tokenizerFromJson(json: unknown, config: unknown = {}, specialTokensMap: unknown = {}): SerializableTokenizer {
  const file = asRecord(json, 'tokenizer.json');
  const settings: TokenizerConfig = {
    ...asRecord(specialTokensMap, 'special_tokens_map.json'),
    ...definedOnly(asRecord(config, 'tokenizer_config.json')),
  };
  const modelSpec = asRecord(file.model, 'tokenizer.json: model');
  const model = buildModel(modelSpec);
  const own = model && SubwordTokenizer.assemble(withConfiguredTokens(file, model, settings), model, settings);
  return own ?? new LibraryTokenizer(file, settings);
}

const definedOnly = (record: JsonRecord): JsonRecord =>
  Object.fromEntries(Object.entries(record).filter(([, value]) => value !== null && value !== undefined));

/** Tokens that only tokenizer_config.json's added_tokens_decoder names are added too. */
function withConfiguredTokens(file: JsonRecord, model: SubwordModel, config: TokenizerConfig): JsonRecord {
  const listed = asArray(file.added_tokens ?? [], 'added_tokens');
  if (!isRecord(config.added_tokens_decoder)) return file;
  const known = new Set(listed.map((token) => (isRecord(token) ? token.id : undefined)));
  const more = Object.entries(config.added_tokens_decoder).flatMap(([key, token]) => {
    const id = asTokenId(Number(key), 'added_tokens_decoder: key');
    const content = specialText(token);
    return known.has(id) || content === null || model.vocab.get(content) === id ? [] : [{ ...asRecord(token, 'added_tokens_decoder'), id }];
  });
  return more.length === 0 ? file : { ...file, added_tokens: [...listed, ...more] };
}

/** The model of a tokenizer.json; null for kinds that only the library knows. */
function buildModel(spec: JsonRecord): SubwordModel | null {
  const type =
    spec.type ??
    (spec.merges !== undefined
      ? 'BPE'
      : Array.isArray(spec.vocab)
        ? 'Unigram'
        : spec.max_input_chars_per_word !== undefined
          ? 'WordPiece'
          : undefined);
  if (type === 'BPE') return buildBpe(spec);
  if (type === 'Unigram') return buildUnigram(spec);
  if (type === 'WordPiece') return buildWordPiece(spec);
  return null;
}

function buildBpe(spec: JsonRecord): BpeModel {
  const vocab = readVocab(spec.vocab);
  const prefix = optionalString(spec.continuing_subword_prefix, 'continuing_subword_prefix');
  return new BpeModel({
    vocab,
    rules: rulesFromMerges(asArray(spec.merges, 'model.merges'), vocab, prefix ?? ''),
    unk_token: optionalString(spec.unk_token, 'unk_token'),
    fuse_unk: spec.fuse_unk === true,
    byte_fallback: spec.byte_fallback === true,
    ignore_merges: spec.ignore_merges === true,
    continuing_subword_prefix: prefix,
    end_of_word_suffix: optionalString(spec.end_of_word_suffix, 'end_of_word_suffix'),
  });
}

const optionalString = (value: unknown, what: string): string | null =>
  value === null || value === undefined ? null : asString(value, `model.${what}`);

function readVocab(value: unknown): Map<string, number> {
  const vocab = new Map<string, number>();
  for (const [token, id] of Object.entries(asRecord(value, 'model.vocab')))
    vocab.set(token, asTokenId(id, `model.vocab[${JSON.stringify(token)}]`));
  if (vocab.size === 0) throw new VitroError('model.vocab is empty');
  return vocab;
}

function buildUnigram(spec: JsonRecord): UnigramModel {
  const pieces = asArray(spec.vocab, 'model.vocab').map((entry, id) => {
    const [token, score] = asArray(entry, `model.vocab[${id}]`);
    if (typeof score !== 'number') throw new VitroError(`model.vocab[${id}] has the score ${JSON.stringify(score)}; expected a number`);
    return [asString(token, `model.vocab[${id}][0]`), score] as const;
  });
  const unk_id = spec.unk_id === null || spec.unk_id === undefined ? null : asTokenId(spec.unk_id, 'model.unk_id');
  return new UnigramModel({ pieces, unk_id, byte_fallback: spec.byte_fallback === true });
}

function buildWordPiece(spec: JsonRecord): WordPieceModel {
  const limit = spec.max_input_chars_per_word ?? 100;
  return new WordPieceModel({
    vocab: readVocab(spec.vocab),
    unk_token: asString(spec.unk_token ?? '[UNK]', 'model.unk_token'),
    continuing_subword_prefix: asString(spec.continuing_subword_prefix ?? '##', 'model.continuing_subword_prefix'),
    max_input_chars_per_word: typeof limit === 'number' ? limit : 100,
  });
}
