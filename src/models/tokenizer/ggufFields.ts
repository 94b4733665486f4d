import { VitroError } from '../../tensor/errors.js';
import type { GgufField } from '../checkpoint/ggufTypes.js';
import { ggufPreTokenizers } from './ggufPatterns.js';
import { asArray, asRecord, isRecord, type JsonRecord } from './json.js';
import { gpt2Pattern } from './patterns.js';
import type { SerializableTokenizer } from './subwordTokenizer.js';

/** Codes of token types in GGUF. */
const types = { normal: 1, unknown: 2, control: 3, user_defined: 4, unused: 5, byte: 6 } as const;

interface Vocabulary {
  readonly tokens: string[];
  readonly kinds: number[];
}

/** Tokens by id, added ones included; ids that no token has get a name of their own. */
function vocabularyOf(vocab: JsonRecord, json: JsonRecord, size: number): Vocabulary {
  const tokens = Array.from({ length: size }, (_, id) => `[PAD${id}]`);
  const kinds = new Array<number>(size).fill(types.unused);
  for (const [text, id] of Object.entries(vocab)) {
    tokens[Number(id)] = text;
    kinds[Number(id)] = /^<0x[0-9A-F]{2}>$/.test(text) ? types.byte : types.normal;
  }
  for (const entry of asArray(json.added_tokens ?? [], 'added_tokens')) {
    const { id, content, special } = asRecord(entry, 'added_tokens');
    tokens[Number(id)] = String(content);
    kinds[Number(id)] = special === true ? types.control : types.user_defined;
  }
  return { tokens, kinds };
}

/** The steps of a pipeline part of tokenizer.json, sequences taken apart. */
function stepsOf(part: unknown): JsonRecord[] {
  if (!isRecord(part)) return [];
  const inner = part.pretokenizers ?? part.normalizers ?? part.decoders;
  return Array.isArray(inner) ? inner.flatMap(stepsOf) : [part];
}

/** Name of the pre-tokenizer that llama.cpp knows by these patterns. */
function preTokenizerOf(json: JsonRecord, ignoresMerges: boolean, mergeless: boolean): string {
  const patterns = stepsOf(json.pre_tokenizer).flatMap((step) => {
    if (step.type === 'Split' && isRecord(step.pattern)) return [String(step.pattern.Regex ?? step.pattern.String)];
    if (step.type === 'Digits') return [step.individual_digits === true ? '\\p{N}' : '\\p{N}+'];
    return step.type === 'ByteLevel' && step.use_regex !== false ? [gpt2Pattern] : [];
  });
  // without merges every cut gives the same ids
  if (mergeless) return 'gpt-2';
  const found = Object.entries(ggufPreTokenizers).find(
    ([, known]) => known.patterns.join('\n') === patterns.join('\n') && (known.ignore_merges ?? false) === ignoresMerges,
  );
  if (found) return found[0];
  throw new VitroError(`GGUF: llama.cpp has no pre-tokenizer that cuts text by ${JSON.stringify(patterns)}; export as safetensors instead`);
}

const u32 = (value: number): GgufField => ({ type: 'u32', value });
const text = (value: string): GgufField => ({ type: 'string', value });
const flag = (value: boolean): GgufField => ({ type: 'bool', value });

/** Byte-level BPE (GPT-2's form). */
function byteLevel(model: JsonRecord, vocabulary: Vocabulary, json: JsonRecord): Record<string, GgufField> {
  const merges = asArray(model.merges ?? [], 'model.merges').map((merge) => (Array.isArray(merge) ? merge.join(' ') : String(merge)));
  return {
    'tokenizer.ggml.model': text('gpt2'),
    'tokenizer.ggml.pre': text(preTokenizerOf(json, model.ignore_merges === true, merges.length === 0)),
    'tokenizer.ggml.tokens': { type: 'array', of: 'string', value: vocabulary.tokens },
    'tokenizer.ggml.token_type': { type: 'array', of: 'i32', value: vocabulary.kinds },
    'tokenizer.ggml.merges': { type: 'array', of: 'string', value: merges },
  };
}

/** BPE over characters with spelled bytes (SentencePiece's form): merges become scores, the earlier the higher. */
function sentencePiece(model: JsonRecord, { tokens, kinds }: Vocabulary, json: JsonRecord): Record<string, GgufField> {
  const rankOf = new Map<string, number>();
  for (const [rank, merge] of asArray(model.merges ?? [], 'model.merges').entries()) {
    const product = (Array.isArray(merge) ? merge : String(merge).split(' ')).join('');
    if (!rankOf.has(product)) rankOf.set(product, rank);
  }
  const unknown = tokens.indexOf(String(model.unk_token ?? ''));
  const marked = [...stepsOf(json.normalizer), ...stepsOf(json.pre_tokenizer)];
  const prefixed = marked.some((step) => step.type === 'Prepend' || (step.type === 'Metaspace' && step.prepend_scheme !== 'never'));
  return {
    'tokenizer.ggml.model': text('llama'),
    'tokenizer.ggml.tokens': { type: 'array', of: 'string', value: tokens },
    'tokenizer.ggml.scores': { type: 'array', of: 'f32', value: tokens.map((token) => -(rankOf.get(token) ?? rankOf.size) - 1) },
    'tokenizer.ggml.token_type': {
      type: 'array',
      of: 'i32',
      value: kinds.map((kind, id) => (id === unknown ? types.unknown : kind)),
    },
    'tokenizer.ggml.add_space_prefix': flag(prefixed),
    ...(unknown >= 0 ? { 'tokenizer.ggml.unknown_token_id': u32(unknown) } : {}),
  };
}

/**
 * The tokenizer.* metadata of a GGUF file, as llama.cpp reads it.
 *
 * @param size ids of the model; more than the tokenizer has are filled up
 * @throws VitroError for tokenizers that llama.cpp cannot express
 */
export function ggufFieldsOfTokenizer(tokenizer: SerializableTokenizer, size = tokenizer.vocab_size): Record<string, GgufField> {
  const json = tokenizer.toJson();
  const model = asRecord(json.model, 'model');
  if (model.type !== 'BPE' || model.continuing_subword_prefix || model.end_of_word_suffix)
    throw new VitroError(`GGUF: a tokenizer of type ${String(model.type)} cannot be written here; export as safetensors instead`);
  const vocabulary = vocabularyOf(asRecord(model.vocab, 'model.vocab'), json, size);
  const isByteLevel = [...stepsOf(json.pre_tokenizer), ...stepsOf(json.decoder)].some((step) => step.type === 'ByteLevel');
  const frame = tokenizer.encode('', { add_special_tokens: true });
  const ids = { bos: tokenizer.bos_token_id, eos: tokenizer.eos_token_id, padding: tokenizer.pad_token_id };
  const { chat_template } = tokenizer.config;
  return {
    ...(isByteLevel ? byteLevel : sentencePiece)(model, vocabulary, json),
    ...Object.fromEntries(
      Object.entries(ids).flatMap(([name, id]) => (id === null ? [] : [[`tokenizer.ggml.${name}_token_id`, u32(id)] as const])),
    ),
    'tokenizer.ggml.add_bos_token': flag(ids.bos !== null && frame[0] === ids.bos),
    'tokenizer.ggml.add_eos_token': flag(ids.eos !== null && frame.length > 0 && frame.at(-1) === ids.eos && ids.eos !== ids.bos),
    ...(typeof chat_template === 'string' ? { 'tokenizer.chat_template': text(chat_template) } : {}),
  };
}

/** llama2.c's tokenizer.bin of a SentencePiece-like vocabulary. */
export function llama2cVocabulary(tokenizer: SerializableTokenizer): Uint8Array {
  const fields = ggufFieldsOfTokenizer(tokenizer);
  const [tokens, scores] = [fields['tokenizer.ggml.tokens']?.value, fields['tokenizer.ggml.scores']?.value];
  if (!Array.isArray(tokens) || !Array.isArray(scores))
    throw new VitroError('llama2.c: its tokenizer.bin holds SentencePiece vocabularies with scores only, this one is byte-level BPE');
  const pieces = tokens.map((token, id) => {
    const plain = String(token).replaceAll('▁', ' ');
    return Buffer.from(id === tokenizer.bos_token_id || id === tokenizer.eos_token_id ? `\n${plain}\n` : plain);
  });
  const head = Buffer.alloc(4);
  head.writeInt32LE(Math.max(...pieces.map((piece) => piece.length)));
  const parts = pieces.flatMap((piece, id) => {
    const own = Buffer.alloc(8);
    own.writeFloatLE(Number(scores[id]));
    own.writeInt32LE(piece.length, 4);
    return [own, piece];
  });
  return new Uint8Array(Buffer.concat([head, ...parts]));
}
