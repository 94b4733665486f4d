/** Middle value; of an even count the upper one. */
export const median = (xs: readonly number[]): number => [...xs].sort((a, b) => a - b)[xs.length >> 1] ?? Number.NaN;

/** Milliseconds that f takes. */
export function time(f: () => void): number {
  const start = performance.now();
  f();
  return performance.now() - start;
}

/** Times several functions in turn, so that a noisy machine disturbs all alike; medians by name. */
export function interleave<K extends string>(functions: Readonly<Record<K, () => void>>, repeats: number, warmups = 2): Record<K, number> {
  const names = Object.keys(functions) as K[];
  const times = Object.fromEntries(names.map((n) => [n, [] as number[]])) as Record<K, number[]>;
  for (let r = -warmups; r < repeats; r++)
    for (const n of names) {
      const ms = time(functions[n]);
      if (r >= 0) times[n].push(ms);
    }
  return Object.fromEntries(names.map((n) => [n, median(times[n])])) as Record<K, number>;
}

export const residentBytes = (): number => process.memoryUsage.rss();

export const round = (x: number, digits = 3): number => Number(x.toFixed(digits));
