import type { DuckDBConnection } from '@duckdb/node-api';
import { DataError, type FileReader, type Row } from './dataset.js';

/** Runs `use` on a connection of a fresh in-memory DuckDB; one thread keeps the order of rows. Loaded at first use: the library is large. */
export async function withDuckDB<T>(use: (connection: DuckDBConnection) => Promise<T>): Promise<T> {
  const { DuckDBInstance } = await import('@duckdb/node-api');
  const instance = await DuckDBInstance.create(':memory:', { threads: '1' });
  const connection = await instance.connect();
  try {
    return await use(connection);
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}

const identifier = (name: string): string => `"${name.replaceAll('"', '""')}"`;

/** Whole numbers within 2^53 as numbers; larger ones stay bigint. */
function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : value;
  if (Array.isArray(value)) return value.map(plain);
  if (value && Object.getPrototypeOf(value) === Object.prototype)
    return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, plain(v)]));
  return value;
}

const failure = (path: string, error: unknown): DataError => {
  const text = (error as Error).message.split('\n')[0] as string;
  return new DataError(`${path}: not a readable parquet file (${text}); it may be truncated or damaged`);
};

/** A parquet file through DuckDB: its columns, its number of rows, and a stream that decodes the wanted columns only. */
export async function parquetReader(path: string, columns?: readonly string[]): Promise<FileReader> {
  // a range by row number, because DuckDB gathers the whole result of a limit in memory
  const query = (select: string, start: number, end: number): string => {
    const part = start > 0 || end < length ? ` where file_row_number >= ${start} and file_row_number < ${end}` : '';
    return `select ${select} from read_parquet($path)${part}`;
  };
  const { names, length } = await withDuckDB(async (c) => {
    try {
      const described = await c.runAndReadAll('describe select * from read_parquet($path)', { path });
      const counted = await c.runAndReadAll('select num_rows from parquet_file_metadata($path)', { path });
      return { names: described.getRowsJS().map((row) => String(row[0])), length: Number(counted.getRowsJS()[0]?.[0]) };
    } catch (error) {
      throw failure(path, error);
    }
  });

  async function* rows(range: { start: number; end: number }): AsyncGenerator<Row> {
    const wanted = (columns ?? names).map(identifier).join(', ');
    const end = Math.min(range.end, length);
    if (end <= range.start) return;
    const { DuckDBInstance } = await import('@duckdb/node-api');
    const instance = await DuckDBInstance.create(':memory:', { threads: '1' });
    const connection = await instance.connect();
    try {
      const result = await connection.stream(query(wanted, range.start, end), { path });
      let next = range.start;
      for await (const chunk of result.yieldRowObjectJs()) {
        for (const row of chunk) yield plain(row) as Row;
        next += chunk.length;
      }
      if (next === end) return;
      // a streamed result that fails ends as if it were complete; a plain query over the rest tells why
      await connection.run(query(`max(hash(${wanted}))`, next, end), { path });
      throw new Error(`only ${next - range.start} of ${end - range.start} rows can be read`);
    } catch (error) {
      throw failure(path, error);
    } finally {
      connection.closeSync();
      instance.closeSync();
    }
  }
  return { columns: names, length, rows };
}
