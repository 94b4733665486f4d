import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { VitroError } from '../../tensor/errors.js';
import { type CatalogueRow, kinds } from './types.js';

const rowSchema = z.strictObject({
  id: z.string().regex(/^[A-Z]\d+$/),
  name: z.string().min(1),
  kind: z.enum(kinds),
  slot: z.string().regex(/^[a-z-]+$/),
  tier: z.enum(['A', 'B', 'C', 'D']),
  summary: z.string().min(1),
  near: z.string(),
  module: z.literal(false).optional(),
  as: z.string().optional(),
});

/** Reads the rows of all papers from `folder`/*.jsonl. Throws a VitroError that names file and line where a row is wrong or doubled. */
export function readRows(folder: string): CatalogueRow[] {
  const seen = new Map<string, string>();
  const rows: CatalogueRow[] = [];
  const files = readdirSync(folder).filter((f) => f.endsWith('.jsonl'));
  for (const file of files.sort()) {
    const lines = readFileSync(join(folder, file), 'utf8').split('\n');
    for (const [i, line] of lines.entries()) {
      if (line.trim() === '') continue;
      const where = `${file}:${i + 1}`;
      const row = parseRow(line, where);
      const other = seen.get(row.id);
      if (other) throw new VitroError(`catalogue: ${where} repeats ${row.id} of ${other}; give every paper one line`);
      seen.set(row.id, where);
      rows.push(row);
    }
  }
  return rows;
}

function parseRow(line: string, where: string): CatalogueRow {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (error) {
    throw new VitroError(`catalogue: ${where} is no JSON: ${(error as Error).message}`);
  }
  const parsed = rowSchema.safeParse(value);
  if (!parsed.success) throw new VitroError(`catalogue: ${where}: ${z.prettifyError(parsed.error)}`);
  return parsed.data;
}
