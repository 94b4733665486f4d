type Row = readonly [string, string];

const show = (value: unknown): string => (value === null ? 'not measured' : Array.isArray(value) ? value.join(' - ') : String(value));

function rows(value: unknown, path: string): Row[] {
  if (Array.isArray(value) && value.some((v) => typeof v === 'object' && v !== null))
    return value.flatMap((v, i) => rows(v, `${path}[${i}]`));
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return Object.entries(value).flatMap(([k, v]) => rows(v, path ? `${path}.${k}` : k));
  return Array.isArray(value) && value.length === 0 ? [] : [[path, show(value)]];
}

/** A nested result as two aligned columns. */
export function table(result: unknown): string {
  const list = rows(result, '');
  const width = Math.max(...list.map(([k]) => k.length));
  return list.map(([k, v]) => `${k.padEnd(width)}  ${v}`).join('\n');
}
