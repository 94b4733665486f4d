/** Protobuf wire types. */
const VARINT = 0;
const LENGTH = 2;
const FIXED32 = 5;

const utf8 = new TextEncoder();

/** Number of bytes of x as a varint (x a non-negative safe integer). */
function varintSize(x: number): number {
  let n = 1;
  for (let v = x; v > 127; v = Math.floor(v / 128)) n++;
  return n;
}

/**
 * A growing buffer that writes protobuf fields. Nested messages are written in place: one length byte is reserved, and the
 * content moves by the few bytes that a longer length needs, so that every varint is minimal and the output is canonical.
 */
export class Writer {
  #bytes: Uint8Array;
  #view: DataView;
  #at = 0;

  constructor(capacity = 1024) {
    this.#bytes = new Uint8Array(capacity);
    this.#view = new DataView(this.#bytes.buffer);
  }

  get length(): number {
    return this.#at;
  }

  /** A copy of what was written. */
  bytes(): Uint8Array {
    return this.#bytes.slice(0, this.#at);
  }

  #reserve(extra: number): void {
    const need = this.#at + extra;
    if (need <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(need, this.#bytes.length * 2));
    grown.set(this.#bytes.subarray(0, this.#at));
    this.#bytes = grown;
    this.#view = new DataView(grown.buffer);
  }

  #varint(x: number): void {
    this.#reserve(10);
    const out = this.#bytes;
    let v = x;
    while (v > 127) {
      out[this.#at++] = (v % 128) | 128;
      v = Math.floor(v / 128);
    }
    out[this.#at++] = v;
  }

  /** A field head with wire type "length-delimited" and its length; the content follows elsewhere. */
  head(field: number, length: number): void {
    this.#varint((field << 3) | LENGTH);
    this.#varint(length);
  }

  /** An integer field (int32, int64, enum); negative values take the ten bytes of two's complement. */
  int(field: number, x: number | bigint): void {
    this.#varint((field << 3) | VARINT);
    if (typeof x === 'number' && x >= 0) {
      this.#varint(x);
      return;
    }
    this.#reserve(10);
    let v = BigInt.asUintN(64, BigInt(x));
    while (v > 127n) {
      this.#bytes[this.#at++] = Number(v & 127n) | 128;
      v >>= 7n;
    }
    this.#bytes[this.#at++] = Number(v);
  }

  float(field: number, x: number): void {
    this.#varint((field << 3) | FIXED32);
    this.#reserve(4);
    this.#view.setFloat32(this.#at, x, true);
    this.#at += 4;
  }

  string(field: number, text: string): void {
    this.#varint((field << 3) | LENGTH);
    this.#reserve(text.length + 10);
    const start = this.#at;
    // names are short and ASCII nearly always; the encoder's call costs more than the loop
    if (text.length < 128) {
      const out = this.#bytes;
      out[start] = text.length;
      let i = 0;
      for (; i < text.length; i++) {
        const code = text.charCodeAt(i);
        if (code > 127) break;
        out[start + 1 + i] = code;
      }
      if (i === text.length) {
        this.#at = start + 1 + i;
        return;
      }
    }
    const encoded = utf8.encode(text);
    this.#varint(encoded.length);
    this.#raw(encoded);
  }

  data(field: number, bytes: Uint8Array): void {
    this.head(field, bytes.length);
    this.#raw(bytes);
  }

  #raw(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  /** A nested message whose fields `write` emits into this writer. */
  message(field: number, write: () => void): void {
    this.#varint((field << 3) | LENGTH);
    this.#reserve(1);
    const lengthAt = this.#at++;
    const start = this.#at;
    write();
    const size = this.#at - start;
    const more = varintSize(size) - 1;
    if (more > 0) {
      this.#reserve(more);
      this.#bytes.copyWithin(start + more, start, this.#at);
    }
    this.#at = lengthAt;
    this.#varint(size);
    this.#at += size;
  }
}
