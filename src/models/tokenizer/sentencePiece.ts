import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import { VitroError } from '../../tensor/errors.js';
import { textOf } from './bytes.js';
import type { TokenizerConfig } from './config.js';
import { type Piece, type PieceKind, pieceTokenizer, type SentencePieceVocabulary } from './pieces.js';
import type { SerializableTokenizer } from './subwordTokenizer.js';

const kinds: Readonly<Record<number, PieceKind>> = { 1: 'normal', 2: 'unknown', 3: 'control', 4: 'user_defined', 5: 'unused', 6: 'byte' };

/**
 * A tokenizer from a SentencePiece tokenizer.model: BPE (Llama 2, Mistral, Gemma) and unigram (T5) models.
 * `add_special_tokens` adds bos where the model has one and eos otherwise, unless the configuration says `add_bos_token`, `add_eos_token`.
 * Layout: sentencepiece_model.proto of google/sentencepiece.
 * @throws VitroError where the bytes are no such model, or the model is of another type
 */
export function tokenizerFromSentencePiece(bytes: Uint8Array, config: TokenizerConfig = {}): SerializableTokenizer {
  let vocabulary: SentencePieceVocabulary;
  try {
    vocabulary = readModel(bytes);
  } catch (error) {
    if (error instanceof VitroError) throw error;
    throw new VitroError(`tokenizer.model is damaged: ${(error as Error).message}`, { cause: error });
  }
  return pieceTokenizer(vocabulary, config);
}

/** Calls `onField` for every field of a message; a field that it does not read (returns false) is skipped. */
function readFields(bytes: Uint8Array, onField: (field: number, type: WireType, reader: BinaryReader) => boolean): void {
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    if (!onField(field, type, reader)) reader.skip(type, field);
  }
  if (reader.pos !== reader.len) throw new VitroError('tokenizer.model ends in the middle of a field');
}

function readModel(bytes: Uint8Array): SentencePieceVocabulary {
  const pieces: Piece[] = [];
  let trainer: Partial<SentencePieceVocabulary> = {};
  let normalizer: Partial<SentencePieceVocabulary> = {};
  readFields(bytes, (field, type, reader) => {
    if (type !== WireType.LengthDelimited || field > 3) return false;
    const message = reader.bytes();
    if (field === 1) pieces.push(readPiece(message));
    else if (field === 2) trainer = readTrainer(message);
    else normalizer = readNormalizer(message);
    return true;
  });
  if (pieces.length === 0) throw new VitroError('tokenizer.model has no pieces; is it a SentencePiece model?');
  return { pieces, algorithm: 'unigram', ...trainer, ...normalizer };
}

function readPiece(bytes: Uint8Array): Piece {
  let text = '';
  let score = 0;
  let kind: PieceKind = 'normal';
  readFields(bytes, (field, type, reader) => {
    if (field === 1 && type === WireType.LengthDelimited) text = textOf(reader.bytes());
    else if (field === 2 && type === WireType.Bit32) score = reader.float();
    else if (field === 3 && type === WireType.Varint) {
      const number = reader.int32();
      const known = kinds[number];
      if (!known) throw new VitroError(`piece ${JSON.stringify(text)} is of the unknown type ${number}`);
      kind = known;
    } else return false;
    return true;
  });
  return { text, score, kind };
}

function readTrainer(bytes: Uint8Array): Partial<SentencePieceVocabulary> {
  let modelType = 1;
  const ids: { bos_id: number; eos_id: number; pad_id: number } = { bos_id: 1, eos_id: 2, pad_id: -1 };
  readFields(bytes, (field, type, reader) => {
    if (type !== WireType.Varint) return false;
    if (field === 3) modelType = reader.int32();
    else if (field === 41) ids.bos_id = reader.int32();
    else if (field === 42) ids.eos_id = reader.int32();
    else if (field === 43) ids.pad_id = reader.int32();
    else if (field === 24) {
      if (reader.bool()) throw new VitroError('tokenizer.model treats whitespace as a suffix, which is not supported');
    } else return false;
    return true;
  });
  if (modelType !== 1 && modelType !== 2)
    throw new VitroError(`tokenizer.model has model_type ${modelType}; unigram (1) and BPE (2) are supported`);
  return { algorithm: modelType === 1 ? 'unigram' : 'bpe', ...ids };
}

function readNormalizer(bytes: Uint8Array): Partial<SentencePieceVocabulary> {
  const out: { -readonly [K in keyof SentencePieceVocabulary]?: SentencePieceVocabulary[K] } = {
    add_dummy_prefix: true,
    remove_extra_whitespaces: true,
  };
  readFields(bytes, (field, type, reader) => {
    if (field === 2 && type === WireType.LengthDelimited) out.charsmap = reader.bytes().slice();
    else if (field === 3 && type === WireType.Varint) out.add_dummy_prefix = reader.bool();
    else if (field === 4 && type === WireType.Varint) out.remove_extra_whitespaces = reader.bool();
    else return false;
    return true;
  });
  return out;
}
