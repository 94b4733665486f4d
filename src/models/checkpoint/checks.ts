/** Product of the sizes, or undefined where it is past 2^53. */
export function productOf(shape: readonly number[]): number | undefined {
  if (shape.includes(0)) return 0;
  let size = 1;
  for (const d of shape) {
    size *= d;
    if (!Number.isSafeInteger(size)) return undefined;
  }
  return size;
}

/** A name that can be shown, and used as a key of a record: no control characters, not empty, not the one key that records treat apart. */
export const isSaneName = (name: string): boolean =>
  name.length > 0 && name.length <= 1024 && name !== '__proto__' && !Array.from(name).some((c) => c < ' ' || c === '\u007f');
