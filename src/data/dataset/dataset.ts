import { VitroError } from '../../tensor/errors.js';
import { nearestName } from '../names.js';

/** A dataset that cannot be read as asked. The message names the file and, where there is one, the line. */
export class DataError extends VitroError {
  override name = 'DataError';
}

/** Rows [start, end) in the dataset's order; end defaults to the last row. */
export interface RowRange {
  readonly start?: number;
  readonly end?: number;
}

export type Row = Record<string, unknown>;

/** Rows in a fixed order, read from the first at every call of `rows`: nothing of the size of the dataset is held in memory. */
export interface Dataset {
  readonly columns: readonly string[];
  /** number of rows where the format states it (parquet) or it is free to know; null otherwise */
  readonly length: number | null;
  /** Streams rows. Values are JSON-like: strings, numbers, booleans, null, lists, objects (csv: strings only). */
  rows(range?: RowRange): AsyncIterable<Row>;
  /** SHA-256 over the content and over what determines the rows; independent of where the files lie */
  readonly fingerprint: string;
}

export type DataFormat = 'txt' | 'jsonl' | 'json' | 'csv' | 'tsv' | 'parquet';

/** One file's rows, before files are joined to a dataset. */
export interface FileReader {
  readonly columns: readonly string[];
  readonly length: number | null;
  rows(range: Required<RowRange>): AsyncIterable<Row>;
}

/** Throws unless every expected column exists; the error lists those that do and suggests the nearest name. */
export function requireColumns(where: string, expected: readonly string[], columns: readonly string[]): void {
  for (const name of expected) {
    if (columns.includes(name)) continue;
    const near = nearestName(name, columns);
    throw new DataError(`${where} has no column "${name}"${near ? `; did you mean "${near}"?` : ''} Its columns: ${columns.join(', ')}.`);
  }
}

/** The range with defaults, checked. */
export function fullRange(range: RowRange = {}): Required<RowRange> {
  const { start = 0, end = Number.POSITIVE_INFINITY } = range;
  const valid = (n: number): boolean => n >= 0 && (Number.isSafeInteger(n) || n === Number.POSITIVE_INFINITY);
  if (!valid(start) || !valid(end) || end < start)
    throw new DataError(`rows: the range [${start}, ${end}) is not one; start and end are row numbers, start <= end`);
  return { start, end };
}

/** The rows of `all` whose number lies in the range. */
export async function* sliceRows(all: AsyncIterable<Row>, { start, end }: Required<RowRange>): AsyncGenerator<Row> {
  if (end <= start) return;
  let i = 0;
  for await (const row of all) {
    if (i >= start) yield row;
    if (++i >= end) return;
  }
}

/** Keeps the wanted columns of a row; a column that the row lacks is null. */
export function project(row: Row, columns: readonly string[] | undefined): Row {
  if (!columns) return row;
  return Object.fromEntries(columns.map((c) => [c, Object.hasOwn(row, c) ? row[c] : null]));
}
