const fields = 4;

/** Merge rules of BPE: (left id, right id) to (rank, product id), an open-addressing hash table in one Int32Array. */
export class PairTable {
  #cells: Int32Array;
  #mask: number;
  #size = 0;

  constructor(expected = 16) {
    let capacity = 16;
    while (capacity < expected * 2) capacity *= 2;
    this.#mask = capacity - 1;
    this.#cells = new Int32Array(capacity * fields).fill(-1);
  }

  get size(): number {
    return this.#size;
  }

  /** Adds a rule; a later rule for the same pair replaces the earlier one. */
  set(left: number, right: number, rank: number, product: number): void {
    if ((this.#size + 1) * 2 > this.#mask + 1) this.#rehash();
    const at = this.#slot(left, right);
    if (this.#cells[at] === -1) this.#size++;
    this.#cells[at] = left;
    this.#cells[at + 1] = right;
    this.#cells[at + 2] = rank;
    this.#cells[at + 3] = product;
  }

  /** Handle of the rule of a pair for `rank` and `product`, or -1. */
  find(left: number, right: number): number {
    const at = this.#slot(left, right);
    return this.#cells[at] === -1 ? -1 : at;
  }

  rank(handle: number): number {
    return this.#cells[handle + 2] as number;
  }

  product(handle: number): number {
    return this.#cells[handle + 3] as number;
  }

  /** All rules as [left, right, product] by rank; rules of equal rank by left, then right id. */
  rules(): [number, number, number][] {
    const cells = this.#cells;
    const starts: number[] = [];
    for (let at = 0; at < cells.length; at += fields) if (cells[at] !== -1) starts.push(at);
    const cell = (at: number): number => cells[at] as number;
    starts.sort((a, b) => cell(a + 2) - cell(b + 2) || cell(a) - cell(b) || cell(a + 1) - cell(b + 1));
    return starts.map((at) => [cell(at), cell(at + 1), cell(at + 3)]);
  }

  #slot(left: number, right: number): number {
    const cells = this.#cells;
    let hash = Math.imul(left, 0x9e3779b1) ^ Math.imul(right, 0x85ebca6b);
    hash ^= hash >>> 15;
    for (let at = hash & this.#mask; ; at = (at + 1) & this.#mask) {
      const cell = at * fields;
      if (cells[cell] === -1 || (cells[cell] === left && cells[cell + 1] === right)) return cell;
    }
  }

  #rehash(): void {
    const old = this.#cells;
    const capacity = (this.#mask + 1) * 2;
    this.#mask = capacity - 1;
    this.#cells = new Int32Array(capacity * fields).fill(-1);
    for (let at = 0; at < old.length; at += fields)
      if (old[at] !== -1) this.#cells.set(old.subarray(at, at + fields), this.#slot(old[at] as number, old[at + 1] as number));
  }
}
