import { byteOfToken, fromByteChars, utf8 } from './bytes.js';
import { asArray, asRecord, asString, isRecord } from './json.js';
import { wordPieceDecoder } from './wordPiece.js';

/** How the texts of tokens become bytes. */
export interface TokenDecoder {
  readonly bytes: (token: string) => Uint8Array;
  /** of a special token that is shown (default: its text) */
  readonly specialBytes?: (token: string) => Uint8Array;
  /** a space at the start of the text belongs to the tokenizer and is dropped */
  readonly strips_leading_space: boolean;
}

const byteLevelDecoder: TokenDecoder = { bytes: (token) => fromByteChars(token) ?? utf8(token), strips_leading_space: false };

/** Decoder of a tokenizer.json: byte-level, SentencePiece-like or WordPiece; null for any other. */
export function buildDecoder(spec: unknown): TokenDecoder | null {
  if (!isRecord(spec)) return null;
  if (spec.type === 'WordPiece') return wordPieceDecoder(asString(spec.prefix ?? '##', 'decoder.prefix'), spec.cleanup !== false);
  const steps = spec.type === 'Sequence' ? asArray(spec.decoders, 'decoder.decoders') : [spec];
  let mark: string | null = null;
  let byteFallback = false;
  let strips = false;
  for (const step of steps) {
    const record = asRecord(step, 'decoder');
    switch (asString(record.type, 'decoder.type')) {
      case 'ByteLevel':
        return steps.length === 1 ? byteLevelDecoder : null;
      case 'Replace':
        if (!isRecord(record.pattern) || typeof record.pattern.String !== 'string' || record.content !== ' ') return null;
        mark = record.pattern.String;
        break;
      case 'Metaspace':
        mark = typeof record.replacement === 'string' ? record.replacement : '▁';
        strips = (record.prepend_scheme ?? (record.add_prefix_space === false ? 'never' : 'always')) !== 'never';
        break;
      case 'ByteFallback':
        byteFallback = true;
        break;
      case 'Fuse':
        break;
      case 'Strip':
        if (record.content !== ' ' || record.start !== 1 || record.stop !== 0) return null;
        strips = true;
        break;
      default:
        return null;
    }
  }
  if (mark === null) return null;
  const space = mark;
  return {
    bytes: (token) => {
      const byte = byteFallback ? byteOfToken(token) : -1;
      return byte >= 0 ? Uint8Array.of(byte) : utf8(token.replaceAll(space, ' '));
    },
    strips_leading_space: strips,
  };
}

/** The decoder of SentencePiece vocabularies in a tokenizer.json. */
export const sentencePieceDecoder = (strip: boolean): unknown => ({
  type: 'Sequence',
  decoders: [
    { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
    { type: 'ByteFallback' },
    { type: 'Fuse' },
    ...(strip ? [{ type: 'Strip', content: ' ', start: 1, stop: 0 }] : []),
  ],
});

export const byteLevelSpec = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false } as const;
