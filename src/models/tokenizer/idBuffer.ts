/** A growing list of token ids. */
export class IdBuffer {
  #ids: Int32Array;
  #length = 0;

  constructor(capacity = 256) {
    this.#ids = new Int32Array(Math.max(16, capacity));
  }

  get length(): number {
    return this.#length;
  }

  push(id: number): void {
    if (this.#length === this.#ids.length) this.#grow(this.#length + 1);
    this.#ids[this.#length++] = id;
  }

  pushAll(ids: ArrayLike<number>): void {
    if (this.#length + ids.length > this.#ids.length) this.#grow(this.#length + ids.length);
    this.#ids.set(ids, this.#length);
    this.#length += ids.length;
  }

  /** A copy of what was pushed. */
  finish(): Int32Array {
    return this.#ids.slice(0, this.#length);
  }

  #grow(needed: number): void {
    const next = new Int32Array(Math.max(needed, this.#ids.length * 2));
    next.set(this.#ids);
    this.#ids = next;
  }
}
