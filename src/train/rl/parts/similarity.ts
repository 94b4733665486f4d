/** The longest run that both texts share: the first in a, then the first in b, of equal ones. Positions [from, to) of both texts bound the search. */
function longestRun(a: string, b: string, [aFrom, aTo, bFrom, bTo]: readonly [number, number, number, number]): [number, number, number] {
  let found: [number, number, number] = [aFrom, bFrom, 0];
  let before = new Map<number, number>();
  for (let i = aFrom; i < aTo; i++) {
    const ending = new Map<number, number>();
    for (let j = bFrom; j < bTo; j++) {
      if (a[i] !== b[j]) continue;
      const length = (before.get(j - 1) ?? 0) + 1;
      ending.set(j, length);
      if (length > found[2]) found = [i - length + 1, j - length + 1, length];
    }
    before = ending;
  }
  return found;
}

/** Characters within the runs that both texts share: the longest one, then, on either side of it, again. */
function matching(a: string, b: string, bounds: readonly [number, number, number, number]): number {
  const [aFrom, aTo, bFrom, bTo] = bounds;
  const [i, j, length] = longestRun(a, b, bounds);
  if (length === 0) return 0;
  return length + matching(a, b, [aFrom, i, bFrom, j]) + matching(a, b, [i + length, aTo, j + length, bTo]);
}

/**
 * Similarity of two texts from 0 to 1 (Ratcliff and Metzener 1988, "Pattern matching: the gestalt approach"): 2 M / T, M the characters in matching runs, T those
 * of both texts. 1 for two empty texts. What Python's difflib calls ratio, without its shortcut for long texts.
 */
export function gestaltRatio(a: string, b: string): number {
  const total = a.length + b.length;
  return total === 0 ? 1 : (2 * matching(a, b, [0, a.length, 0, b.length])) / total;
}
