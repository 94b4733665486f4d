import type { NDArray } from '../../tensor/array.js';
import { keyWords, threefry2x32 } from '../../tensor/random/threefry.js';

/** Random numbers of a key, one after the other: word i of threefryBits at call i. */
export class Draws {
  readonly #key: readonly [number, number];
  #block = 0;
  #spare: number | undefined;

  constructor(key: NDArray) {
    this.#key = keyWords(key);
  }

  /** 32 uniform bits */
  word(): number {
    if (this.#spare !== undefined) {
      const word = this.#spare;
      this.#spare = undefined;
      return word;
    }
    const [first, second] = threefry2x32(this.#key, [this.#block++, 0]);
    this.#spare = second;
    return first;
  }

  /** a uniform integer in [0, n), exactly uniform: words beyond the last multiple of n are drawn again */
  below(n: number): number {
    const limit = 2 ** 32 - (2 ** 32 % n);
    let word = this.word();
    while (word >= limit) word = this.word();
    return word % n;
  }

  /** uniform in the open interval (0, 1) */
  unit(): number {
    return (this.word() + 0.5) / 2 ** 32;
  }

  /** `count` different integers in [0, n), every ordered choice equally likely */
  distinct(count: number, n: number): number[] {
    // Fisher-Yates on an array that is only kept where it was changed
    const moved = new Map<number, number>();
    return Array.from({ length: count }, (_, i) => {
      const j = i + this.below(n - i);
      const chosen = moved.get(j) ?? j;
      moved.set(j, moved.get(i) ?? i);
      return chosen;
    });
  }

  /** Indices drawn one after the other without replacement, with probabilities proportional to `weights`; in the order of drawing. */
  weighted(count: number, weights: ArrayLike<number>): number[] {
    // the smallest of independent exponential times with these rates is the first draw, and so on (Efraimidis and Spirakis 2006)
    const times = Array.from(weights, (w) => -Math.log(this.unit()) / w);
    return Array.from(times.keys())
      .sort((a, b) => (times[a] as number) - (times[b] as number))
      .slice(0, count);
  }
}
