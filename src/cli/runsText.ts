import { basename, relative } from 'node:path';
import { flatten } from '../lab/report/flatten.js';
import { lastValues, type RunDetail, type RunSummary } from '../lab/report/runFolders.js';
import type { QueryResult } from '../lab/report/runsSql.js';
import { duration, si, table } from './format.js';
import { textChart } from './textChart.js';
import { wrap } from './wrap.js';

const number = (value: number | null): string => (value === null ? '' : value.toFixed(4));

/** Runs as a table, a line each, with counts of their states below. */
export function runsTable(runs: readonly RunSummary[], root: string): string {
  const metrics = new Set(runs.flatMap((r) => r.metric ?? []));
  const [only] = metrics;
  const oneMetric = metrics.size === 1 ? only : undefined;
  const rows = runs.map((r) => [
    relative(root, r.folder) || basename(r.folder),
    r.testbed ?? '-',
    r.method ?? '-',
    r.seed === null ? '-' : String(r.seed),
    r.status,
    ...(oneMetric === undefined ? [r.metric ?? '-'] : []),
    number(r.value),
    si(r.tokens),
    duration(r.seconds),
  ]);
  const header = [
    'folder',
    'testbed',
    'method',
    'seed',
    'status',
    ...(oneMetric === undefined ? ['metric', 'value'] : [oneMetric]),
    'tokens',
    'time',
  ];
  const counts = [...new Set(runs.map((r) => r.status))].map((status) => `${runs.filter((r) => r.status === status).length} ${status}`);
  return `${table(header, rows, { left: [0, 1, 2, 4] })}\n\n${runs.length} run${runs.length === 1 ? '' : 's'} under ${root}: ${counts.join(', ')}. "vitro runs FOLDER" shows one.`;
}

/** Names padded to one width, values beside them. */
function pairs(entries: readonly (readonly [string, string])[], width: number): string {
  const names = Math.max(...entries.map(([k]) => k.length));
  return entries.map(([k, v]) => `  ${k.padEnd(names)}  ${wrap(v, width - 2, names + 4)}`.trimEnd()).join('\n');
}

/** One run in full: state, recipe, task, last metrics, cost, and the loss as a chart. */
export function runPage({ summary, record, identity, lines }: RunDetail, width: number): string {
  const { method, seed, testbed, status, metric, value, step } = summary;
  const title = [
    method ?? basename(summary.folder),
    ...(seed === null ? [] : [`seed ${seed}`]),
    ...(testbed === null ? [] : [`on ${testbed}`]),
  ].join(' ');
  const state = [
    ['status', status === 'interrupted' ? 'interrupted: the command that started it goes on with it' : status],
    ...(metric === null ? [] : [[metric, number(value)] as const]),
    ['steps', String(step)],
    ['tokens', si(summary.tokens)],
    ['time', duration(summary.seconds)],
    ...(record ? [['started', record.started_at] as const, ['ended', record.finished_at] as const] : []),
  ] as const;
  const recipe = Object.entries(identity.recipe ?? {}).map(([slot, part]): [string, string] => [
    slot,
    [part.method, ...Object.entries(part.settings).map(([k, v]) => `${k}=${v}`)].join('  '),
  ]);
  const last = Object.entries(lastValues(lines)).map(([k, v]): [string, string] => [k, String(Number(v.toPrecision(6)))]);
  const chart = textChart(
    lines.flatMap(({ global_step: x, loss: y }) => (typeof x === 'number' && typeof y === 'number' ? [[x, y] as const] : [])),
    { width: Math.min(width, 90), height: 11 },
    'steps',
  );
  const blocks: [string, readonly (readonly [string, string])[]][] = [
    ['Recipe', recipe],
    ['Task', flatten(identity.task)],
    ['Last metrics', last],
    ['Cost', Object.entries(record?.ledger ?? {}).map(([k, v]) => [k, si(v)] as const)],
    ['Versions and machine', [...flatten(identity.versions), ...flatten(record?.machine)]],
  ];
  return [
    `${title}\n${summary.folder}\n\n${pairs(state as readonly (readonly [string, string])[], width)}`,
    ...(chart === '' ? [] : [`Training loss\n${chart}`]),
    ...blocks.filter(([, entries]) => entries.length > 0).map(([name, entries]) => `${name}\n${pairs(entries, width)}`),
  ].join('\n\n');
}

function cellText(value: unknown): string {
  if (value === null || value === undefined) return '';
  if (typeof value === 'number') return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(6)));
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

/** Result of a query as a table. */
export function queryTable({ columns, rows }: QueryResult): string {
  if (columns.length === 0) return 'The query gave no table.';
  const left = columns.flatMap((name, i) => (rows.some((row) => typeof row[name] === 'string') ? [i] : []));
  const body = table(
    columns,
    rows.map((row) => columns.map((name) => cellText(row[name]))),
    { left },
  );
  return `${body}\n\n${rows.length} row${rows.length === 1 ? '' : 's'}`;
}
