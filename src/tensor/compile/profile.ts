import type { NDArray } from '../array.js';
import { getOrMake } from '../getOrMake.js';
import { type Node, topoSort } from '../graph.js';
import { costOf } from './cost.js';
import type { Executable } from './executable.js';

/** One kind of operation in a profile; figures are per run. */
export interface ProfileRow {
  readonly op: string;
  readonly milliseconds: number;
  /** part of the kernels' total time, 0..1 */
  readonly share: number;
  readonly calls: number;
  readonly gflops: number;
  readonly megabytes: number;
}

export interface ProfileOptions {
  /** runs to average over; default 5 */
  readonly repeats?: number;
  /** one row per operation and operand shapes instead of one per operation */
  readonly shapes?: boolean;
}

export interface ProfileReport {
  readonly rows: readonly ProfileRow[];
  /** sum of kernel times per run */
  readonly kernelMilliseconds: number;
  /** wall time per run, with the profiler on */
  readonly wallMilliseconds: number;
  toString(): string;
}

/** Runs an executable in sessions that record every kernel, and adds the figures up by the engine's operation. */
export function profileExecutable(
  executable: Executable,
  inputs: readonly NDArray[],
  outputs: readonly NDArray[],
  symbols: ReadonlyMap<string, number>,
  { repeats = 5, shapes = false }: ProfileOptions = {},
): ProfileReport {
  const { wall, recorded } = executable.runProfiled(inputs, outputs, symbols, repeats);
  const rows = new Map<string, { us: number; calls: number; flops: number; bytes: number }>();
  let total = 0;
  for (const { graph, events } of recorded) {
    const nodes = new Map<number, Node>(topoSort(graph.outputs).map((n) => [n.id, n]));
    const costed = new Set<string>();
    for (const event of events) {
      const id = Number(/^n(\d+)_/.exec(event.node)?.[1] ?? -1);
      const node = nodes.get(id);
      const kernel = node ? (node.op === event.op.toLowerCase() ? node.op : `${node.op} (${event.op})`) : event.op;
      const key = shapes && node ? `${kernel} ${node.inputs.map((t) => `[${t.shape.join(',')}]`).join(' ')}` : kernel;
      const row = getOrMake(rows, key, () => ({ us: 0, calls: 0, flops: 0, bytes: 0 }));
      row.us += event.microseconds;
      row.calls++;
      total += event.microseconds;
      if (node && !costed.has(`${id}`)) {
        costed.add(`${id}`);
        const cost = costOf(node, symbols);
        row.flops += cost.flops * repeats;
        row.bytes += cost.bytes * repeats;
      }
    }
  }
  const list = [...rows]
    .map(
      ([op, r]): ProfileRow => ({
        op,
        milliseconds: r.us / 1000 / repeats,
        share: total ? r.us / total : 0,
        calls: r.calls / repeats,
        gflops: r.us ? r.flops / r.us / 1000 : 0,
        megabytes: r.bytes / repeats / 1e6,
      }),
    )
    .sort((a, b) => b.milliseconds - a.milliseconds);
  const report = { rows: list, kernelMilliseconds: total / 1000 / repeats, wallMilliseconds: wall };
  return { ...report, toString: () => formatProfile(report) };
}

function formatProfile(report: Omit<ProfileReport, 'toString'>): string {
  const width = Math.max(36, ...report.rows.map((r) => r.op.length + 1));
  const header = `${'operation'.padEnd(width)}${'ms'.padStart(9)}${'share'.padStart(8)}${'calls'.padStart(8)}${'GFLOP/s'.padStart(9)}${'MB'.padStart(9)}`;
  const lines = report.rows.map(
    (r) =>
      `${r.op.padEnd(width)}${r.milliseconds.toFixed(2).padStart(9)}${`${(100 * r.share).toFixed(1)}%`.padStart(8)}${String(Math.round(r.calls)).padStart(8)}${r.gflops.toFixed(0).padStart(9)}${r.megabytes.toFixed(1).padStart(9)}`,
  );
  return [header, ...lines, `kernels ${report.kernelMilliseconds.toFixed(2)} ms, wall ${report.wallMilliseconds.toFixed(2)} ms a run`].join(
    '\n',
  );
}
