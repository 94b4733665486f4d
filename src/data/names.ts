import { distance } from 'fastest-levenshtein';

const letters = (s: string): string => [...s].sort().join('');

/** The known name nearest to a mistyped one, or undefined where none is near (more than a third of its letters, at least two, differ). */
export function nearestName(name: string, known: readonly string[]): string | undefined {
  const typed = name.toLowerCase();
  // among equally near names, one of the same letters: exchanged neighbours count as two changes
  const ranked = known
    .map((k) => ({ k, d: distance(typed, k.toLowerCase()), rest: distance(letters(typed), letters(k.toLowerCase())) }))
    .sort((a, b) => a.d - b.d || a.rest - b.rest);
  const best = ranked[0];
  return best && best.d <= Math.max(2, Math.floor(best.k.length / 3)) ? best.k : undefined;
}
