import type { DuckDBAppender, DuckDBConnection } from '@duckdb/node-api';
import { UsageError } from '../names.js';
import { canonicalJson } from '../runStore.js';
import type { RunDetail } from './runFolders.js';

/** Result of a query: rows as objects of JSON values, and the columns in order. */
export interface QueryResult {
  readonly columns: readonly string[];
  readonly rows: readonly Readonly<Record<string, unknown>>[];
}

type Cell = string | number | null;

const identifier = (name: string): string => `"${name.replaceAll('"', '""')}"`;

function append(appender: DuckDBAppender, cells: readonly Cell[]): void {
  for (const cell of cells) {
    if (cell === null) appender.appendNull();
    else if (typeof cell === 'string') appender.appendVarchar(cell);
    else appender.appendDouble(cell);
  }
  appender.endRow();
}

async function fill(
  connection: DuckDBConnection,
  table: string,
  columns: readonly (readonly [name: string, type: 'VARCHAR' | 'DOUBLE'])[],
  rows: Iterable<readonly Cell[]>,
): Promise<void> {
  await connection.run(`create table ${table} (${columns.map(([name, type]) => `${identifier(name)} ${type}`).join(', ')})`);
  const appender = await connection.createAppender(table);
  for (const row of rows) append(appender, row);
  appender.closeSync();
}

const ledgerKeys = ['model_flops', 'optimizer_flops', 'train_seconds', 'peak_rss_bytes'] as const;

const fillRuns = (connection: DuckDBConnection, runs: readonly RunDetail[]): Promise<void> =>
  fill(
    connection,
    'runs',
    [
      ...(['folder', 'testbed', 'method'] as const).map((n) => [n, 'VARCHAR'] as const),
      ['seed', 'DOUBLE'],
      ['status', 'VARCHAR'],
      ['metric', 'VARCHAR'],
      ...(['value', 'step', 'tokens', 'seconds', ...ledgerKeys] as const).map((n) => [n, 'DOUBLE'] as const),
      ...(['started_at', 'finished_at', 'recipe', 'task'] as const).map((n) => [n, 'VARCHAR'] as const),
    ],
    runs.map(({ summary: s, record, identity }): Cell[] => [
      ...[s.folder, s.testbed, s.method, s.seed, s.status, s.metric, s.value, s.step, s.tokens, s.seconds],
      ...ledgerKeys.map((key) => record?.ledger[key] ?? null),
      ...[record?.started_at ?? null, record?.finished_at ?? null],
      ...[identity.recipe, identity.task].map((v) => (v === undefined ? null : canonicalJson(v))),
    ]),
  );

/** One row a line of metrics.jsonl; columns are all metrics that occur. SQL knows no case: of names that differ in case, the first one counts. */
function fillMetrics(connection: DuckDBConnection, runs: readonly RunDetail[]): Promise<void> {
  const names = new Map<string, string>();
  for (const { lines } of runs)
    for (const line of lines) for (const key of Object.keys(line)) if (!names.has(key.toLowerCase())) names.set(key.toLowerCase(), key);
  names.delete('folder');
  const keys = [...names.values()];
  function* rows(): Generator<Cell[]> {
    for (const { folder, lines } of runs) for (const line of lines) yield [folder, ...keys.map((key) => line[key] ?? null)];
  }
  return fill(connection, 'metrics', [['folder', 'VARCHAR'], ...keys.map((key) => [key, 'DOUBLE'] as const)], rows());
}

/**
 * Runs SQL over runs: table `runs` (a row a run) and table `metrics` (a row a line of metrics.jsonl, joined by `folder`). The database lives in memory and
 * reaches no file and no network, so a query changes nothing and reads nothing else.
 *
 * @throws UsageError with DuckDB's message for SQL that fails
 */
export async function queryRuns(runs: readonly RunDetail[], sql: string): Promise<QueryResult> {
  const { DuckDBInstance } = await import('@duckdb/node-api');
  const instance = await DuckDBInstance.create(':memory:', {
    enable_external_access: 'false',
    autoload_known_extensions: 'false',
    autoinstall_known_extensions: 'false',
  });
  const connection = await instance.connect();
  try {
    await fillRuns(connection, runs);
    await fillMetrics(connection, runs);
    await connection.run('set lock_configuration = true');
    const reader = await connection.runAndReadAll(sql).catch((error: Error) => {
      throw new UsageError(`the SQL failed: ${error.message}`);
    });
    const columns = reader.deduplicatedColumnNames();
    const rows = reader.getRowsJS().map((row) => Object.fromEntries(columns.map((name, i) => [name, plain(row[i])])));
    return { columns, rows };
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}

/** A value of DuckDB as JSON can hold it: whole numbers within 2^53 as numbers, larger ones and dates as text. */
function plain(value: unknown): unknown {
  if (typeof value === 'bigint')
    return value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : String(value);
  if (value instanceof Date) return value.toISOString();
  if (Array.isArray(value)) return value.map(plain);
  if (value !== null && typeof value === 'object' && Object.getPrototypeOf(value) === Object.prototype)
    return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, plain(v)]));
  return value;
}
