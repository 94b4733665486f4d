/** A sliced string keeps the whole text that it was cut from alive; this one does not. */
const detached = (piece: string): string => {
  if (piece.length < 13) return piece;
  const units = new Array<number>(piece.length);
  for (let i = 0; i < piece.length; i++) units[i] = piece.charCodeAt(i);
  return String.fromCharCode(...units);
};

/** Ids of pieces seen lately: at most twice `generation` entries, the older half dropped at once when the younger is full. */
export class PieceCache {
  #young = new Map<string, number | Int32Array>();
  #old = new Map<string, number | Int32Array>();

  constructor(
    readonly generation = 1 << 16,
    readonly longest = 128,
  ) {}

  get size(): number {
    return this.#young.size + this.#old.size;
  }

  /** One id as a number, several as an array, undefined where unknown. */
  get(piece: string): number | Int32Array | undefined {
    const hit = this.#young.get(piece);
    if (hit !== undefined) return hit;
    const older = this.#old.get(piece);
    if (older !== undefined) this.#put(detached(piece), older);
    return older;
  }

  set(piece: string, ids: readonly number[]): void {
    if (piece.length > this.longest) return;
    this.#put(detached(piece), ids.length === 1 ? (ids[0] as number) : Int32Array.from(ids));
  }

  #put(piece: string, ids: number | Int32Array): void {
    if (this.#young.size >= this.generation) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(piece, ids);
  }
}
