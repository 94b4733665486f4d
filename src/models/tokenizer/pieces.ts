import { VitroError } from '../../tensor/errors.js';
import type { AddedToken } from './addedTokens.js';
import { BpeModel, rulesFromVocabulary } from './bpe.js';
import { byteToken } from './bytes.js';
import type { TokenizerConfig } from './config.js';
import { sentencePieceDecoder } from './decoder.js';
import type { SubwordModel } from './model.js';
import { templateOf } from './postProcessor.js';
import { type SerializableTokenizer, SubwordTokenizer } from './subwordTokenizer.js';
import { UnigramModel } from './unigram.js';

export type PieceKind = 'normal' | 'unknown' | 'control' | 'user_defined' | 'unused' | 'byte';

export interface Piece {
  /** with "▁" for spaces */
  readonly text: string;
  readonly score: number;
  readonly kind: PieceKind;
}

/** A SentencePiece vocabulary, whatever file it came from. */
export interface SentencePieceVocabulary {
  readonly pieces: readonly Piece[];
  readonly algorithm: 'bpe' | 'unigram';
  readonly bos_id?: number;
  readonly eos_id?: number;
  readonly pad_id?: number;
  /** a space is put before the text (default true) */
  readonly add_dummy_prefix?: boolean;
  /** runs of spaces become one, spaces at the ends go (default false) */
  readonly remove_extra_whitespaces?: boolean;
  readonly charsmap?: Uint8Array;
  readonly add_bos?: boolean;
  readonly add_eos?: boolean;
}

/** A tokenizer of SentencePiece pieces. Special tokens are found in the text, as Hugging Face tokenizers do; SentencePiece itself does not. */
export function pieceTokenizer(vocabulary: SentencePieceVocabulary, config: TokenizerConfig = {}): SerializableTokenizer {
  const { pieces, add_dummy_prefix = true } = vocabulary;
  const named = (id: number | undefined): [string, number] | null => {
    const piece = id === undefined ? undefined : pieces[id];
    return piece && id !== undefined ? [piece.text, id] : null;
  };
  const bos = named(vocabulary.bos_id);
  const eos = named(vocabulary.eos_id);
  const pad = named(vocabulary.pad_id);
  const addBos = typeof config.add_bos_token === 'boolean' ? config.add_bos_token : (vocabulary.add_bos ?? bos !== null);
  const addEos = typeof config.add_eos_token === 'boolean' ? config.add_eos_token : (vocabulary.add_eos ?? bos === null);
  const spec = {
    normalizer: normalizerSpec(vocabulary),
    pre_tokenizer: null,
    post_processor: templateOf(addBos && bos ? [bos] : [], addEos && eos ? [eos] : []),
    decoder: sentencePieceDecoder(add_dummy_prefix),
    added_tokens: pieces.flatMap(addedToken),
  };
  const settings: TokenizerConfig = { bos_token: bos?.[0], eos_token: eos?.[0], pad_token: pad?.[0], ...config };
  const tokenizer = SubwordTokenizer.assemble(spec, buildModel(vocabulary), settings);
  if (!tokenizer) throw new VitroError('the pipeline of this SentencePiece vocabulary is not supported');
  return tokenizer;
}

function addedToken({ text, kind }: Piece, id: number): AddedToken[] {
  if (text === '' || (kind !== 'control' && kind !== 'unknown' && kind !== 'user_defined')) return [];
  const special = kind !== 'user_defined';
  return [
    {
      id,
      content: special ? text : text.replaceAll('▁', ' '),
      special,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
    },
  ];
}

function normalizerSpec({ charsmap, remove_extra_whitespaces = false, add_dummy_prefix = true }: SentencePieceVocabulary): unknown {
  const steps: unknown[] = [];
  if (charsmap && charsmap.length > 0) steps.push({ type: 'Precompiled', precompiled_charsmap: Buffer.from(charsmap).toString('base64') });
  if (remove_extra_whitespaces)
    steps.push(
      { type: 'Replace', pattern: { Regex: '\\A +| +\\z' }, content: '' },
      { type: 'Replace', pattern: { Regex: ' {2,}' }, content: ' ' },
    );
  if (add_dummy_prefix) steps.push({ type: 'Prepend', prepend: '▁' });
  steps.push({ type: 'Replace', pattern: { String: ' ' }, content: '▁' });
  return { type: 'Sequence', normalizers: steps };
}

function buildModel({ pieces, algorithm }: SentencePieceVocabulary): SubwordModel {
  const unknown = pieces.findIndex((p) => p.kind === 'unknown');
  if (algorithm === 'unigram') {
    const silent = new Set(pieces.flatMap((p, id) => (p.kind === 'normal' || p.kind === 'user_defined' ? [] : [id])));
    return new UnigramModel({
      pieces: pieces.map((p) => [p.text, p.score] as const),
      unk_id: unknown < 0 ? null : unknown,
      byte_fallback: pieces.some((p) => p.kind === 'byte'),
      silent,
    });
  }
  const vocab = new Map<string, number>();
  for (const [id, piece] of pieces.entries()) {
    if (piece.text.length > 4096) throw new VitroError(`piece ${id} has ${piece.text.length} characters; at most 4096 are allowed`);
    if (Number.isNaN(piece.score)) throw new VitroError(`the score of piece ${id} (${JSON.stringify(piece.text)}) is not a number`);
    if (piece.text !== '' && (!vocab.has(piece.text) || piece.kind === 'normal')) vocab.set(piece.text, id);
  }
  const falling = [...new Set(pieces.map((p) => p.score))].sort((a, b) => b - a);
  const rankOfScore = new Map(falling.map((score, rank) => [score, rank]));
  const rules = rulesFromVocabulary(vocab, (_, id) => {
    const piece = pieces[id];
    return piece?.kind === 'normal' ? rankOfScore.get(piece.score) : undefined;
  });
  return new BpeModel({
    vocab,
    rules,
    unk_token: pieces[unknown]?.text ?? null,
    fuse_unk: true,
    byte_fallback: Array.from({ length: 256 }, (_, byte) => byte).every((byte) => vocab.has(byteToken(byte))),
  });
}
