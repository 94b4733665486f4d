import { createHash } from 'node:crypto';
import { fileSha256 } from './bytes.js';
import { csvReader } from './csv.js';
import {
  DataError,
  type DataFormat,
  type Dataset,
  type FileReader,
  fullRange,
  type Row,
  type RowRange,
  requireColumns,
} from './dataset.js';
import { findFiles, formatOf } from './files.js';
import { hubFiles } from './hub.js';
import { jsonReader } from './json.js';
import { parquetReader } from './parquet.js';
import { txtReader } from './txt.js';

export interface OpenDatasetOptions {
  /**
   * A file, folder or glob, a list of them, or a dataset of the Hugging Face hub by name (owner/name, or hf://datasets/owner/name).
   * Files end in txt, jsonl, json, csv, tsv or parquet; all but parquet may be packed as .gz.
   */
  readonly path: string | readonly string[];
  /** configuration of a hub dataset, e.g. wikitext-2-raw-v1 */
  readonly name?: string;
  /** train, validation or test: files whose names say so, or the split of a hub dataset (there: default train) */
  readonly split?: string;
  /** the columns to read; default all */
  readonly columns?: readonly string[];
  /** a column that must be there; of txt files, the name of the only column (default text) */
  readonly text_column?: string;
  /** where the files' names do not state it */
  readonly format?: DataFormat;
  /** txt only: a literal text between documents, e.g. '<|endoftext|>' or '\n\n'; default: a file is a document */
  readonly separator?: string;
  /** hub only: commit of the conversion to parquet */
  readonly revision?: string;
  readonly cache_dir?: string;
  readonly fetch?: typeof fetch;
  readonly env?: NodeJS.ProcessEnv;
}

/** The option that names a dataset's files; the hub is asked where nothing of that name is here. */
async function resolveFiles(options: OpenDatasetOptions): Promise<string[]> {
  const { path, split } = options;
  const scheme = 'hf://datasets/';
  const explicit = typeof path === 'string' && path.startsWith(scheme);
  if (!explicit) {
    const files = await findFiles(path, split);
    if (files) return files;
  }
  const id = explicit ? path.slice(scheme.length) : String(path);
  if (!explicit && (formatOf(id) || /^[./~]|\\/.test(id))) throw new DataError(`${id}: no such file or folder`);
  const { files } = await hubFiles({
    id,
    config: options.name,
    split,
    revision: options.revision,
    fetch: options.fetch,
    cache_dir: options.cache_dir,
    env: options.env,
  });
  return files;
}

function commonFormat(files: readonly string[], asked: DataFormat | undefined): DataFormat {
  if (asked) return asked;
  const found = [...new Set(files.map((f) => formatOf(f)))];
  const [format] = found;
  if (found.length > 1)
    throw new DataError(
      `the files are of several formats (${found.map((f) => f ?? 'unknown').join(', ')}); give a path or glob of one format`,
    );
  if (!format) throw new DataError(`${files[0]}: the name states no format; set \`format\` to txt, jsonl, json, csv, tsv or parquet`);
  return format;
}

function openFile(path: string, format: DataFormat, options: OpenDatasetOptions): Promise<FileReader> | FileReader {
  switch (format) {
    case 'txt':
      return txtReader(path, options.text_column ?? 'text', options.separator);
    case 'csv':
      return csvReader(path, ',', options.columns);
    case 'tsv':
      return csvReader(path, '\t', options.columns);
    case 'parquet':
      return parquetReader(path, options.columns);
    default:
      return jsonReader(path, format, options.columns);
  }
}

/** The readers' rows one file after the other. Files that state their number of rows are skipped without being opened. */
async function* joined(readers: readonly FileReader[], range: Required<RowRange>): AsyncGenerator<Row> {
  let { start, end } = range;
  for (const reader of readers) {
    if (end <= 0) return;
    if (reader.length !== null) {
      if (start < reader.length) yield* reader.rows({ start, end });
      start = Math.max(0, start - reader.length);
      end -= reader.length;
      continue;
    }
    // the rows before `start` are read too, so that the next file knows where it stands
    let seen = 0;
    for await (const row of reader.rows({ start: 0, end })) if (seen++ >= start) yield row;
    start = Math.max(0, start - seen);
    end -= seen;
  }
}

/**
 * Opens a dataset: local files or one of the hub. Reads every file once for its fingerprint; rows are streamed later.
 * @throws DataError naming the file (and line): missing or empty data, a column that is not there, several formats, damaged files
 */
export async function openDataset(options: OpenDatasetOptions): Promise<Dataset> {
  const files = await resolveFiles(options);
  const format = commonFormat(files, options.format);
  const { columns, text_column, separator } = options;
  const readers: FileReader[] = [];
  const content = createHash('sha256').update(
    JSON.stringify({ version: 1, format, columns, ...(format === 'txt' ? { text_column, separator } : {}) }),
  );
  const expected = [...(columns ?? []), ...(text_column ? [text_column] : [])];
  for (const file of files) {
    const reader = await openFile(file, format, options);
    if (reader.columns.length) requireColumns(file, expected, reader.columns);
    readers.push(reader);
    content.update(await fileSha256(file));
  }
  const all = [...new Set(readers.flatMap((r) => r.columns))];
  const length = readers.every((r) => r.length !== null) ? readers.reduce((n, r) => n + (r.length ?? 0), 0) : null;
  const dataset: Dataset = {
    columns: columns ?? all,
    length,
    rows: (range) => joined(readers, fullRange(range)),
    fingerprint: content.digest('hex'),
  };
  for await (const _ of dataset.rows({ end: 1 })) return dataset;
  throw new DataError(`${files.join(', ')}: the dataset is empty`);
}
