import { textChunks } from './bytes.js';
import { DataError, type FileReader, project, type Row, sliceRows } from './dataset.js';

const NEWLINE = 10;
const RETURN = 13;
const QUOTE = 34;

interface CsvRecord {
  /** line of the file on which the record begins, from 1 */
  readonly line: number;
  readonly fields: readonly string[];
}

/**
 * Records of comma- or tab-separated text (RFC 4180: quoted fields, doubled quotes, line ends within quotes; \n or \r\n; blank lines are skipped).
 * DuckDB's reader is not used here: its streamed results end silently at the first bad row, and its guess of the dialect drops rows.
 */
export async function* csvRecords(path: string, chunks: AsyncIterable<string>, delimiter: ',' | '\t'): AsyncGenerator<CsvRecord> {
  const DELIMITER = delimiter.charCodeAt(0);
  let state = 'start' as 'start' | 'plain' | 'quoted' | 'closed';
  let field = '';
  let fields: string[] = [];
  let line = 1;
  let began = 1;
  let quotedLine = 1;

  const endRecord = (): CsvRecord | undefined => {
    const record = { line: began, fields: [...fields, field] };
    const blank = fields.length === 0 && field === '' && state === 'start';
    fields = [];
    field = '';
    state = 'start';
    return blank ? undefined : record;
  };

  for await (const text of chunks) {
    let from = 0;
    for (let i = 0; i < text.length; i++) {
      const c = text.charCodeAt(i);
      if (state === 'quoted') {
        if (c === NEWLINE) line++;
        else if (c === QUOTE) {
          field += text.slice(from, i);
          state = 'closed';
        }
        continue;
      }
      if (c === QUOTE && (state === 'start' || state === 'closed')) {
        // a second quote right after a closing one is a literal quote
        if (state === 'closed') field += '"';
        else quotedLine = line;
        state = 'quoted';
        from = i + 1;
      } else if (c === DELIMITER || c === NEWLINE) {
        if (state === 'plain') field += text.slice(from, i);
        if (c === DELIMITER) {
          fields.push(field);
          field = '';
          state = 'start';
        } else {
          if (state === 'plain' && field.endsWith('\r')) field = field.slice(0, -1);
          if (field === '' && state === 'plain') state = 'start';
          const record = endRecord();
          if (record) yield record;
          began = ++line;
        }
        from = i + 1;
      } else if (state === 'closed') {
        if (c !== RETURN)
          throw new DataError(`${path}:${line}: ${JSON.stringify(text[i])} follows a closing quote; double the quotes within a field`);
      } else if (state === 'start') {
        state = 'plain';
        from = i;
      }
    }
    if (state === 'quoted' || state === 'plain') field += text.slice(from);
  }
  if (state === 'quoted') throw new DataError(`${path}:${quotedLine}: a quoted field opens here and never closes`);
  if (state === 'plain' && field.endsWith('\r')) field = field.slice(0, -1);
  const record = endRecord();
  if (record) yield record;
}

/** A csv or tsv file with a header line. All values are strings; a row with more or fewer fields than the header is an error. */
export async function csvReader(path: string, delimiter: ',' | '\t', columns?: readonly string[]): Promise<FileReader> {
  const records = (): AsyncGenerator<CsvRecord> => csvRecords(path, textChunks(path), delimiter);
  let header: readonly string[] = [];
  for await (const record of records()) {
    header = record.fields;
    break;
  }
  const repeated = header.find((name, i) => header.indexOf(name) !== i);
  if (repeated !== undefined) throw new DataError(`${path}: the header names "${repeated}" twice`);

  async function* all(): AsyncGenerator<Row> {
    let first = true;
    for await (const { line, fields } of records()) {
      if (first) {
        first = false;
        continue;
      }
      if (fields.length !== header.length)
        throw new DataError(`${path}:${line}: ${fields.length} fields, but the header names ${header.length} (${header.join(', ')})`);
      yield project(Object.fromEntries(header.map((name, i) => [name, fields[i]])), columns);
    }
  }
  return { columns: header, length: null, rows: (range) => sliceRows(all(), range) };
}
