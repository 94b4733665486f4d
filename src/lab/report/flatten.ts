/** Leaves of a nested value as `a.b` with their text; lists of plain values are one leaf. */
export function flatten(value: unknown, path = ''): [string, string][] {
  if (value === undefined) return [];
  if (value === null || typeof value !== 'object') return [[path, String(value)]];
  if (Array.isArray(value) && value.every((v) => typeof v !== 'object')) return [[path, value.join(', ')]];
  return Object.entries(value).flatMap(([k, v]) => flatten(v, path === '' ? k : `${path}.${k}`));
}
