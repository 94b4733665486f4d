import { textLines, wholeText } from './bytes.js';
import { DataError, type FileReader, project, type Row, sliceRows } from './dataset.js';

const isRecord = (value: unknown): value is Row => typeof value === 'object' && value !== null && !Array.isArray(value);

const kind = (value: unknown): string => (value === null ? 'null' : Array.isArray(value) ? 'a list' : `a ${typeof value}`);

async function* jsonLines(path: string): AsyncGenerator<Row> {
  let number = 0;
  for await (const line of textLines(path)) {
    number++;
    if (!line.trim()) continue;
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch (error) {
      throw new DataError(
        `${path}:${number}: not JSON (${(error as Error).message}); the line begins ${JSON.stringify(line.slice(0, 60))}`,
      );
    }
    if (!isRecord(value)) throw new DataError(`${path}:${number}: a line must hold an object {column: value}, found ${kind(value)}`);
    yield value;
  }
}

async function* jsonList(path: string): AsyncGenerator<Row> {
  let value: unknown;
  try {
    value = JSON.parse(await wholeText(path));
  } catch (error) {
    if (error instanceof DataError) throw error;
    throw new DataError(
      `${path}: not JSON (${(error as Error).message}); for one object a line, name the file .jsonl or set format: jsonl`,
    );
  }
  if (!Array.isArray(value)) throw new DataError(`${path}: a json dataset is a list of objects, found ${kind(value)}`);
  for (const [i, row] of value.entries()) {
    if (!isRecord(row)) throw new DataError(`${path}: item ${i} must be an object {column: value}, found ${kind(row)}`);
    yield row;
  }
}

/** A file of one JSON object a line, or of one list of objects. The columns are those of the first row; a row that lacks one has null there. */
export async function jsonReader(path: string, format: 'jsonl' | 'json', columns?: readonly string[]): Promise<FileReader> {
  const all = format === 'jsonl' ? jsonLines : jsonList;
  async function* projected(): AsyncGenerator<Row> {
    for await (const row of all(path)) yield project(row, columns);
  }
  let first: readonly string[] = [];
  for await (const row of all(path)) {
    first = Object.keys(row);
    break;
  }
  return { columns: first, length: null, rows: (range) => sliceRows(projected(), range) };
}
