/** Uniform numbers in (0, 1) of a seed. */
export function uniformOf(seed: number): () => number {
  let state = (seed * 2654435761 + 12345) % 2147483647;
  return () => {
    state = (state * 48271) % 2147483647;
    return state / 2147483647;
  };
}
