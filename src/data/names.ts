import { distance } from 'fastest-levenshtein';

/** The known name nearest to a mistyped one, or undefined where none is near (more than a third of its letters, at least two, differ). */
export function nearestName(name: string, known: readonly string[]): string | undefined {
  const ranked = known.map((k) => ({ k, d: distance(name.toLowerCase(), k.toLowerCase()) })).sort((a, b) => a.d - b.d);
  const best = ranked[0];
  return best && best.d <= Math.max(2, Math.floor(best.k.length / 3)) ? best.k : undefined;
}
