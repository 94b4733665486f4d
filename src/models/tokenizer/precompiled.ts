import { VitroError } from '../../tensor/errors.js';
import { concatBytes, textOf, utf8 } from './bytes.js';
import type { Normalizer } from './normalizer.js';

/**
 * Character map of SentencePiece: a double-array trie from UTF-8 prefixes to replacements; the longest prefix wins.
 * Layout: uint32 size of the trie in bytes, the trie's uint32 units, then zero-terminated replacement strings.
 * @param charsmap base64 or bytes; empty means no change
 */
export function precompiledNormalizer(charsmap: string | Uint8Array): Normalizer {
  const bytes = typeof charsmap === 'string' ? Uint8Array.from(Buffer.from(charsmap, 'base64')) : charsmap;
  if (bytes.length === 0) return (text) => text;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const trieBytes = bytes.length >= 4 ? view.getUint32(0, true) : 0;
  if (trieBytes === 0 || trieBytes % 4 !== 0 || trieBytes > bytes.length - 4)
    throw new VitroError(`precompiled_charsmap of ${bytes.length} bytes claims a trie of ${trieBytes} bytes; the file is damaged`);
  const units = Uint32Array.from({ length: trieBytes / 4 }, (_, i) => view.getUint32(4 + 4 * i, true));
  const replacements = bytes.subarray(4 + trieBytes);
  return (text) => replaceAll(text, units, replacements);
}

function replaceAll(text: string, units: Uint32Array, replacements: Uint8Array): string {
  const input = utf8(text);
  const out: Uint8Array[] = [];
  let copied = 0;
  let at = 0;
  while (at < input.length) {
    const found = longestPrefix(units, input, at);
    if (found) {
      out.push(input.subarray(copied, at), cString(replacements, found.value));
      at += found.length;
      copied = at;
    } else at += sequenceLength(input[at] as number);
  }
  out.push(input.subarray(copied));
  return textOf(concatBytes(out));
}

const sequenceLength = (lead: number): number => (lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4);

function cString(bytes: Uint8Array, start: number): Uint8Array {
  const end = bytes.indexOf(0, start);
  return bytes.subarray(start, end < 0 ? bytes.length : end);
}

// fields of one unit of the double array (darts-clone)
const offsetOf = (unit: number): number => (unit >>> 10) << ((unit & 0x200) >>> 6);
const labelOf = (unit: number): number => unit & 0x800000ff;
const hasLeaf = (unit: number): boolean => (unit & 0x100) !== 0;
const leafValue = (unit: number): number => unit & 0x7fffffff;

function longestPrefix(units: Uint32Array, input: Uint8Array, start: number): { value: number; length: number } | null {
  let node = offsetOf(units[0] as number);
  let best: { value: number; length: number } | null = null;
  for (let i = start; i < input.length && input[i] !== 0; i++) {
    node ^= input[i] as number;
    const unit = units[node];
    if (unit === undefined || labelOf(unit) >>> 0 !== input[i]) break;
    node ^= offsetOf(unit);
    const leaf = units[node];
    if (hasLeaf(unit) && leaf !== undefined) best = { value: leafValue(leaf), length: i - start + 1 };
  }
  return best;
}
