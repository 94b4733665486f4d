type Pair = readonly [left: number, right: number];

interface Candidate {
  readonly count: number;
  readonly key: number;
}

/** Two ids below 2^21 in one exact double; smaller for smaller (left, right). */
const idRange = 2 ** 21;
const keyOf = (left: number, right: number): number => left * idRange + right;

/** First those of higher count, then of lower ids. */
const before = (a: Candidate, b: Candidate): boolean => a.count > b.count || (a.count === b.count && a.key < b.key);

/** How often each pair of neighbours occurs in a weighted list of words, kept up to date while pairs are merged. */
export class PairCounts {
  readonly #words: number[][] = [];
  readonly #weights: number[] = [];
  readonly #counts = new Map<number, number>();
  /** words in which a pair occurs, or once occurred */
  readonly #places = new Map<number, Set<number>>();
  readonly #heap: Candidate[] = [];

  /** @param spell ids of a word */
  constructor(words: ReadonlyMap<string, number>, spell: (word: string) => number[]) {
    for (const [word, weight] of words) {
      const ids = spell(word);
      if (ids.length < 2) continue;
      const index = this.#words.push(ids) - 1;
      this.#weights.push(weight);
      for (let i = 0; i + 1 < ids.length; i++) this.#add(keyOf(ids[i] as number, ids[i + 1] as number), weight, index);
    }
    for (const [key, count] of this.#counts) this.#push({ key, count });
  }

  /** The most frequent pair that occurs at least `least` times. */
  best(least: number): Pair | null {
    for (let top = this.#pop(); top; top = this.#pop()) {
      const count = this.#counts.get(top.key) ?? 0;
      if (count !== top.count) {
        // its count fell since it was queued
        if (count > 0) this.#push({ key: top.key, count });
      } else {
        if (count < least) return null;
        return [Math.floor(top.key / idRange), top.key % idRange];
      }
    }
    return null;
  }

  /** Puts `product` where the pair stands, from left to right, and updates the counts of what is around it. */
  merge([left, right]: Pair, product: number): void {
    const key = keyOf(left, right);
    const risen = new Set<number>();
    for (const index of this.#places.get(key) ?? []) {
      const word = this.#words[index] as number[];
      const weight = this.#weights[index] as number;
      for (let i = 0; i + 1 < word.length; i++) {
        if (word[i] !== left || word[i + 1] !== right) continue;
        const previous = word[i - 1];
        const next = word[i + 2];
        if (previous !== undefined) {
          this.#lose(keyOf(previous, left), weight);
          risen.add(this.#add(keyOf(previous, product), weight, index));
        }
        if (next !== undefined) {
          this.#lose(keyOf(right, next), weight);
          risen.add(this.#add(keyOf(product, next), weight, index));
        }
        word.splice(i, 2, product);
      }
    }
    this.#places.delete(key);
    this.#counts.delete(key);
    for (const pair of risen) {
      const count = this.#counts.get(pair) ?? 0;
      if (count > 0) this.#push({ key: pair, count });
    }
  }

  #add(key: number, weight: number, index: number): number {
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + weight);
    const places = this.#places.get(key);
    if (places) places.add(index);
    else this.#places.set(key, new Set([index]));
    return key;
  }

  #lose(key: number, weight: number): void {
    const count = this.#counts.get(key);
    if (count !== undefined) this.#counts.set(key, count - weight);
  }

  #push(candidate: Candidate): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(candidate);
    while (at > 0) {
      const up = (at - 1) >> 1;
      const parent = heap[up] as Candidate;
      if (!before(candidate, parent)) break;
      heap[at] = parent;
      at = up;
    }
    heap[at] = candidate;
  }

  #pop(): Candidate | undefined {
    const heap = this.#heap;
    const top = heap[0];
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return top;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1] as Candidate, heap[child] as Candidate)) child++;
      if (!before(heap[child] as Candidate, last)) break;
      heap[at] = heap[child] as Candidate;
      at = child;
    }
    heap[at] = last;
    return top;
  }
}
