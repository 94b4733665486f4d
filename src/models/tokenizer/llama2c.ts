import { VitroError } from '../../tensor/errors.js';
import { byteOfToken, textOf } from './bytes.js';
import type { TokenizerConfig } from './config.js';
import { type Piece, pieceTokenizer } from './pieces.js';
import type { SerializableTokenizer } from './subwordTokenizer.js';

/**
 * A tokenizer from llama2.c's tokenizer.bin: the longest piece's length (int32), then for each piece its score (float32), length (int32)
 * and UTF-8 bytes. Ids 0, 1, 2 are unknown, bos and eos; bos and eos are written with line breaks around them, spaces as they are.
 */
export function tokenizerFromLlama2c(bytes: Uint8Array, config: TokenizerConfig = {}): SerializableTokenizer {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const longest = bytes.length >= 4 ? view.getInt32(0, true) : 0;
  const pieces: Piece[] = [];
  let at = 4;
  while (at < bytes.length) {
    if (at + 8 > bytes.length) throw new VitroError(`tokenizer.bin ends within piece ${pieces.length}`);
    const score = view.getFloat32(at, true);
    const length = view.getInt32(at + 4, true);
    at += 8;
    if (length < 0 || length > longest || at + length > bytes.length)
      throw new VitroError(
        `tokenizer.bin: piece ${pieces.length} claims ${length} bytes; the longest has ${longest}, the file ${bytes.length}`,
      );
    pieces.push(pieceOf(textOf(bytes.subarray(at, at + length)), score, pieces.length));
    at += length;
  }
  if (pieces.length < 3) throw new VitroError(`tokenizer.bin holds ${pieces.length} pieces; expected <unk>, <s>, </s> and more`);
  return pieceTokenizer({ pieces, algorithm: 'bpe', bos_id: 1, eos_id: 2 }, config);
}

function pieceOf(text: string, score: number, id: number): Piece {
  if (id < 3) return { text: text.trim(), score, kind: id === 0 ? 'unknown' : 'control' };
  return { text: text.replaceAll(' ', '▁'), score, kind: byteOfToken(text) >= 0 ? 'byte' : 'normal' };
}
