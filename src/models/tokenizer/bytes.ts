const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

export const utf8 = (text: string): Uint8Array => encoder.encode(text);

/** Text of UTF-8 bytes; invalid sequences become U+FFFD and a byte order mark is kept. */
export const textOf = (bytes: Uint8Array): string => decoder.decode(bytes);

const isPrintable = (byte: number): boolean => (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte !== 0xad);

/** The character that stands for each byte in byte-level vocabularies: printable Latin-1 itself, the others from U+0100 on (GPT-2). */
export const byteToChar: readonly string[] = (() => {
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(isPrintable(byte) ? byte : next++));
})();

const charToByte = new Int16Array(0x200).fill(-1);
for (const [byte, char] of byteToChar.entries()) charToByte[char.charCodeAt(0)] = byte;

/** Byte-level characters of the UTF-8 form of a text. */
export function toByteChars(text: string): string {
  let out = '';
  for (const byte of encoder.encode(text)) out += byteToChar[byte];
  return out;
}

/** Bytes of a token in byte-level characters, or null where the token holds a character outside of that alphabet. */
export function fromByteChars(token: string): Uint8Array | null {
  const bytes = new Uint8Array(token.length);
  for (let i = 0; i < token.length; i++) {
    const byte = charToByte[token.charCodeAt(i)] ?? -1;
    if (byte < 0) return null;
    bytes[i] = byte;
  }
  return bytes;
}

export function concatBytes(parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const out = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** The token that stands for one byte in vocabularies with byte fallback, e.g. "<0x0A>". */
export const byteToken = (byte: number): string => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`;

/** The byte of a token such as "<0x0A>", or -1. */
export const byteOfToken = (token: string): number => (/^<0x[0-9A-Fa-f]{2}>$/.test(token) ? Number.parseInt(token.slice(3, 5), 16) : -1);
