import type { NDArray } from '../array.js';
import type { KernelEvent } from '../backends/types.js';
import { getOrMake } from '../getOrMake.js';
import { isOp, type Node, type Tensor, topoSort } from '../graph.js';
import { parseNodeName } from '../onnx/index.js';
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

interface Kernel {
  readonly op: string;
  /** time in microseconds, without that of kernels that it ran itself */
  us: number;
  calls: number;
}

/** Kernels by the name of their ONNX node. A loop's time does not count what is reported for its body. */
function kernelsOf(events: readonly KernelEvent[]): Map<string, Kernel> {
  const kernels = new Map<string, Kernel>();
  for (const { node, op, microseconds } of events) {
    const kernel = getOrMake(kernels, node, () => ({ op, us: 0, calls: 0 }));
    kernel.us += microseconds;
    kernel.calls++;
  }
  const inclusive = new Map([...kernels].map(([name, k]) => [name, k.us]));
  for (const [name, us] of inclusive) {
    const loop = kernels.get(name.slice(0, Math.max(0, name.lastIndexOf('/'))));
    if (loop) loop.us = Math.max(0, loop.us - us);
  }
  return kernels;
}

function nodesById(outputs: readonly Tensor[], nodes = new Map<number, Node>()): Map<number, Node> {
  for (const node of topoSort(outputs)) {
    nodes.set(node.id, node);
    if (isOp(node, 'scan')) nodesById(node.attrs.body.outputs, nodes);
  }
  return nodes;
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
    const nodes = nodesById(graph.outputs);
    /** of each node: the row of its slowest kernel, which gets its operations, and how often it ran */
    const main = new Map<Node, { us: number; row: { flops: number; bytes: number }; runs: number }>();
    for (const [name, { op, us, calls }] of kernelsOf(events)) {
      const node = nodes.get(parseNodeName(name)?.id ?? -1);
      const kernel = node ? (node.op === op.toLowerCase() ? node.op : `${node.op} (${op})`) : op;
      const key = shapes && node ? `${kernel} ${node.inputs.map((t) => `[${t.shape.join(',')}]`).join(' ')}` : kernel;
      const row = getOrMake(rows, key, () => ({ us: 0, calls: 0, flops: 0, bytes: 0 }));
      row.us += us;
      row.calls += calls;
      total += us;
      if (!node) continue;
      const known = main.get(node);
      if (!known) main.set(node, { us, row, runs: calls });
      else if (us > known.us) main.set(node, { us, row, runs: Math.max(calls, known.runs) });
    }
    for (const [node, { row, runs }] of main) {
      const cost = costOf(node, symbols);
      row.flops += cost.flops * runs;
      row.bytes += cost.bytes * runs;
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
