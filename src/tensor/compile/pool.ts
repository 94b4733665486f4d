/** Idle buffers by size, for the intermediate values between steps. Keeps at most twice what one run needed, giving up the longest unused sizes. */
export class BufferPool {
  /** in the order of their last use */
  readonly #idle = new Map<number, ArrayBuffer[]>();
  #idleBytes = 0;
  #usedBytes = 0;
  #peakBytes = 0;

  /** A buffer of exactly `bytes`; its content is arbitrary. */
  take(bytes: number): ArrayBuffer {
    this.#usedBytes += bytes;
    this.#peakBytes = Math.max(this.#peakBytes, this.#usedBytes);
    const buffer = this.#idle.get(bytes)?.pop();
    if (!buffer) return new ArrayBuffer(bytes);
    this.#idleBytes -= bytes;
    return buffer;
  }

  give(buffer: ArrayBuffer): void {
    const bytes = buffer.byteLength;
    const list = this.#idle.get(bytes) ?? [];
    this.#idle.delete(bytes);
    this.#idle.set(bytes, list);
    list.push(buffer);
    this.#usedBytes -= bytes;
    this.#idleBytes += bytes;
    for (const [size, buffers] of this.#idle) {
      if (this.#idleBytes <= 2 * this.#peakBytes) return;
      this.#idle.delete(size);
      this.#idleBytes -= size * buffers.length;
    }
  }

  clear(): void {
    this.#idle.clear();
    this.#idleBytes = 0;
  }
}
