import { allocate, NDArray } from '../array.js';
import { evalShape, type Shape, shapeEq, shapeStr, symbolsOf } from '../dim.js';
import type { TypedArray } from '../dtype.js';
import { DisposedError, VitroError } from '../errors.js';
import { Graph, Tensor, topoSort } from '../graph.js';
import * as ir from '../ir.js';
import { lower } from '../onnx/index.js';
import { optimize } from '../passes/optimize.js';
import { treeLeaves } from '../tree.js';
import { Executable, type Pair } from './executable.js';
import { checkFree, hold } from './locks.js';
import { inlineCalls } from './plan.js';
import { printGraph } from './print.js';
import { type ProfileOptions, type ProfileReport, profileExecutable } from './profile.js';
import type { ExecutionOptions } from './sessions.js';
import { type HostLeaf, match, type Template, templateLeaves, templateOf, tensorsOf } from './template.js';

export interface CompileOptions extends ExecutionOptions {
  /** for messages and profiles; default: the function's name */
  readonly name?: string;
  /**
   * Positions of arguments that a run consumes: their memory becomes that of the results (in place where every read provably comes before the
   * write, else as the other half of a double buffer), and the passed arrays are no longer valid afterwards.
   */
  readonly donate?: readonly number[];
  /**
   * Positions of arguments that a run writes over and that stay valid: where every read provably comes before the write, the result is the passed
   * array with new contents, else a fresh one.
   */
  readonly update?: readonly number[];
  /** Declared dtypes and shapes of the arguments (records of `spec(...)`), with symbolic sizes; an undefined entry is taken from the call. */
  readonly args?: readonly unknown[];
}

/** The host form of a record of tensors: what goes into a compiled function, and what comes out of it. */
export type HostIn<T> = T extends Tensor ? HostLeaf : T extends readonly unknown[] | object ? { [K in keyof T]: HostIn<T[K]> } : T;
export type HostOut<T> = T extends Tensor ? NDArray : T extends readonly unknown[] | object ? { [K in keyof T]: HostOut<T[K]> } : T;

/** One trace of the function: for one structure, dtypes and (possibly symbolic) shapes of the arguments. */
interface Entry {
  readonly templates: readonly Template[];
  readonly graph: Graph;
  /** the traced function's result, for its structure */
  readonly result: unknown;
  readonly executable: Executable;
  readonly pairs: readonly Pair[];
  readonly donated: readonly number[];
  /** input leaves that results are written over, and that stay valid */
  readonly updated: ReadonlySet<number>;
  /** for each output leaf: the pair that gives its memory, or -1 */
  readonly pairOf: readonly number[];
  readonly outShapes: readonly Shape[];
  readonly constants: readonly NDArray[];
  /** retired buffers of pairs that are double-buffered */
  readonly spare: (NDArray | undefined)[];
}

interface Call {
  readonly entry: Entry;
  readonly inputs: NDArray[];
  readonly outputs: NDArray[];
  readonly symbols: ReadonlyMap<string, number>;
}

/** A function of tensors, traced once per structure and shape of its arguments, run on a backend. Made by `compile`. */
export class Compiled<Args extends readonly unknown[], R> {
  readonly #entries = new Set<Entry>();
  #last: Entry | undefined;
  #disposed = false;
  readonly name: string;

  constructor(
    readonly fn: (...args: Args) => R,
    readonly options: CompileOptions,
  ) {
    this.name = options.name ?? (fn.name || 'compiled function');
  }

  /** Runs without blocking the event loop. Results are fresh arrays, or the donated memory. */
  async run(...args: { [K in keyof Args]: HostIn<Args[K]> }): Promise<HostOut<R>> {
    const call = this.#prepare(args);
    const release = hold(call.inputs, call.outputs, donatedOf(call));
    try {
      await call.entry.executable.run(call.inputs, call.outputs, call.symbols);
    } finally {
      release();
    }
    return this.#finish(call);
  }

  /** Runs at once, blocking; not available on backends that are asynchronous only. */
  runSync(...args: { [K in keyof Args]: HostIn<Args[K]> }): HostOut<R> {
    const call = this.#prepare(args);
    checkFree(call.inputs, call.outputs, donatedOf(call));
    call.entry.executable.runSync(call.inputs, call.outputs, call.symbols);
    return this.#finish(call);
  }

  /** Traces and builds the sessions for the given arguments (arrays, numbers or specs) ahead of the first run. */
  async warmup(...args: readonly unknown[]): Promise<void> {
    await this.#entryFor(args).executable.open();
  }

  /** Time, calls, FLOPs and bytes by operation over a few runs of the given arguments. Nothing is donated. */
  profile(args: { [K in keyof Args]: HostIn<Args[K]> }, options: ProfileOptions = {}): ProfileReport {
    const entry = this.#entryFor(args);
    const symbols = new Map<string, number>();
    const inputs = this.#match(entry, args, symbols);
    const outputs = entry.outShapes.map((s, i) => allocate((entry.graph.outputs[i] as Tensor).dtype, evalShape(s, symbols)));
    // As in a real run, but on copies: what is updated in place is read and written in one array.
    for (const k of entry.executable.inPlace) {
      const { input, output } = entry.pairs[k] as Pair;
      const copy = (inputs[input] as NDArray).clone();
      inputs[input] = copy;
      outputs[output] = copy;
    }
    return profileExecutable(entry.executable, inputs, outputs, symbols, options);
  }

  /** The optimised graph that runs for these arguments, one line an operation. */
  print(...args: readonly unknown[]): string {
    const { executable } = this.#entryFor(args);
    return executable.steps.map((s) => printGraph(s.graph, s.label)).join('\n\n');
  }

  /** Which results are written over their donated arguments (the others are double-buffered). */
  inPlaceOutputs(...args: readonly unknown[]): readonly number[] {
    const entry = this.#entryFor(args);
    return entry.pairs.flatMap((p, k) => (entry.executable.inPlace.has(k) ? [p.output] : []));
  }

  /** The whole function as an ONNX model in standard operators, which any ONNX runtime can load. */
  toOnnx(...args: readonly unknown[]): Uint8Array {
    const { graph } = this.#entryFor(args);
    const outputs = optimize(inlineCalls(graph.outputs), 'generic', (node) => standardOps.has(node.op));
    return lower(new Graph(graph.inputs, outputs), { target: 'generic', name: this.name, standardOnly: true }).model;
  }

  /** Frees the sessions; using the function afterwards is an error. */
  dispose(): void {
    this.#disposed = true;
    for (const e of this.#entries) e.executable.dispose();
    this.#entries.clear();
  }

  #match(entry: Entry, args: readonly unknown[], symbols: Map<string, number>): NDArray[] {
    const inputs: NDArray[] = [];
    const problem = match(entry.templates, args, inputs, symbols);
    if (problem) throw new VitroError(`${this.name}: ${problem}`);
    return inputs;
  }

  #fits(entry: Entry, args: readonly unknown[]): boolean {
    return args.length === entry.templates.length && match(entry.templates, args, [], new Map()) === undefined;
  }

  #entryFor(args: readonly unknown[]): Entry {
    if (this.#disposed) throw new DisposedError(`${this.name} was used after dispose`);
    const declared = this.options.args ?? [];
    const concrete = Array.from({ length: Math.max(args.length, declared.length) }, (_, i) => declared[i] ?? args[i]);
    for (const e of this.#entries) if (this.#fits(e, concrete)) return e;
    const entry = this.#trace(concrete);
    this.#entries.add(entry);
    return entry;
  }

  #prepare(args: readonly unknown[]): Call {
    const inputs: NDArray[] = [];
    const symbols = new Map<string, number>();
    let entry = this.#last;
    const fast =
      entry && !this.#disposed && args.length === entry.templates.length && match(entry.templates, args, inputs, symbols) === undefined;
    if (!entry || !fast) {
      inputs.length = 0;
      symbols.clear();
      entry = this.#entryFor(args);
      inputs.push(...this.#match(entry, args, symbols));
      this.#last = entry;
    }
    for (const a of inputs) if (a.isDisposed) void a.data;
    for (const c of entry.constants)
      if (c.isDisposed)
        throw new DisposedError(
          `${this.name}: a constant ${c.dtype}[${c.shape.join(', ')}] that was compiled in has been disposed or donated since`,
        );
    const { executable, pairOf, pairs, spare, outShapes, graph, updated } = entry;
    if (entry.donated.length + updated.size > 0) this.#checkDistinct(entry, inputs);
    const outputs = outShapes.map((shape, o) => {
      const dtype = (graph.outputs[o] as Tensor).dtype;
      const concrete = symbols.size ? evalShape(shape, symbols) : (shape as readonly number[]);
      const k = pairOf[o] as number;
      if (k < 0) return allocate(dtype, concrete);
      const { input } = pairs[k] as Pair;
      const given = inputs[input] as NDArray;
      if (executable.inPlace.has(k)) return updated.has(input) ? given : new NDArray(dtype, concrete, given.data);
      if (updated.has(input)) return allocate(dtype, concrete);
      const idle = spare[k];
      spare[k] = undefined;
      return idle?.shape.every((d, i) => d === concrete[i]) ? new NDArray(dtype, concrete, idle.data) : allocate(dtype, concrete);
    });
    return { entry, inputs, outputs, symbols };
  }

  /** Memory that is given away or written over must not be read or given through another argument. */
  #checkDistinct(entry: Entry, inputs: readonly NDArray[]): void {
    if (new Set(inputs.map((a) => a.data.buffer)).size === inputs.length) return;
    const paths = entry.templates.flatMap(templateLeaves).map((l) => l.path);
    for (const i of [...entry.donated, ...entry.updated]) {
      const { data } = inputs[i] as NDArray;
      const other = inputs.findIndex((b, j) => j !== i && overlap(data, b.data));
      if (other >= 0)
        throw new VitroError(
          `${this.name}: ${paths[i]} is ${entry.updated.has(i) ? 'written over' : 'donated'}, but ${paths[other]} shares its memory; pass a copy (clone()) for one of them`,
        );
    }
  }

  #finish({ entry, inputs, outputs }: Call): HostOut<R> {
    entry.pairs.forEach(({ input }, k) => {
      const old = inputs[input] as NDArray;
      if (!entry.updated.has(input) && !entry.executable.inPlace.has(k)) entry.spare[k] = new NDArray(old.dtype, old.shape, old.data);
    });
    for (const i of entry.donated) inputs[i]?.dispose(`donated to ${this.name}; use the array that it returned instead`);
    let next = 0;
    return rebuild(entry.result, () => outputs[next++] as NDArray) as HostOut<R>;
  }

  #trace(args: readonly unknown[]): Entry {
    const templates = args.map((a, i) => templateOf(a, `arg${i}`));
    const leaves = templates.map(templateLeaves);
    const result = this.fn(...(templates.map(tensorsOf) as unknown as Args));
    if (result instanceof Promise) throw new VitroError(`${this.name}: a traced function builds its graph at once; it must not be async`);
    const outputs = treeLeaves<unknown>(result as never).map((leaf) => this.#asOutput(leaf));
    if (outputs.length === 0) throw new VitroError(`${this.name}: the function returned no tensor; return what it computes`);
    const inputs = leaves.flat().map((l) => l.tensor);
    const known = new Set(inputs);
    const order = topoSort(outputs);
    const stray = order.find((n) => n.op === 'input' && !known.has(n.out()));
    if (stray)
      throw new VitroError(
        `${this.name}: the result depends on a tensor of another trace (${shapeStr(stray.out().shape)}); pass it as an argument, make it a constant, or (where a customVjp inside of a checkpoint or scan needs it) hand it on as saved`,
      );
    const bound = new Set(inputs.flatMap((t) => [...symbolsOf(t.shape)]));
    for (const t of outputs)
      for (const s of symbolsOf(t.shape))
        if (!bound.has(s)) throw new VitroError(`${this.name}: no argument determines the size "${s}" of a result`);

    const graph = new Graph(inputs, outputs);
    const { pairs, donated, updated } = this.#pairs(
      leaves.map((l) => l.map((x) => x.tensor)),
      result,
      outputs,
    );
    const pairOf = outputs.map((_, o) => pairs.findIndex((p) => p.output === o));
    return {
      templates,
      graph,
      result,
      executable: new Executable(graph, pairs, this.options),
      pairs,
      donated,
      updated,
      pairOf,
      outShapes: outputs.map((t) => t.shape),
      constants: order.flatMap((n) => (n.op === 'constant' ? [(n.attrs as { value: NDArray }).value] : [])),
      spare: [],
    };
  }

  #asOutput(leaf: unknown): Tensor {
    if (leaf instanceof Tensor) return leaf;
    if (typeof leaf === 'number') return ir.scalar(leaf);
    if (leaf instanceof NDArray) return ir.constantOf(leaf);
    throw new VitroError(`${this.name}: a traced function returns tensors in nested records, found ${typeof leaf}`);
  }

  /** Pairs the leaves of each argument that is donated or updated with those of a result of the same structure, else by shape and dtype in order. */
  #pairs(
    args: readonly (readonly Tensor[])[],
    result: unknown,
    outputs: readonly Tensor[],
  ): { pairs: Pair[]; donated: number[]; updated: Set<number> } {
    const offsets = args.map((_, i) => args.slice(0, i).reduce((n, a) => n + a.length, 0));
    const parts: { start: number; count: number }[] = [];
    let start = 0;
    const pieces = Array.isArray(result) ? result : [result];
    for (const piece of pieces) {
      const count = treeLeaves(piece as never).length;
      parts.push({ start, count });
      start += count;
    }
    const taken = new Set<number>();
    const pairs: Pair[] = [];
    const donated: number[] = [];
    const updated = new Set<number>();
    const { donate = [], update = [] } = this.options;
    for (const [option, arg] of [...donate.map((i) => ['donate', i] as const), ...update.map((i) => ['update', i] as const)]) {
      const leaves = args[arg];
      if (!leaves) throw new VitroError(`${this.name}: ${option} names argument ${arg}, but there are ${args.length}`);
      const fits = (t: Tensor, o: number): boolean => {
        const out = outputs[o] as Tensor;
        return !taken.has(o) && out.dtype === t.dtype && shapeEq(out.shape, t.shape);
      };
      const part = parts.find((p) => p.count === leaves.length && leaves.every((t, i) => fits(t, p.start + i)));
      leaves.forEach((t, i) => {
        const input = (offsets[arg] as number) + i;
        if (option === 'donate') donated.push(input);
        else updated.add(input);
        const output = part ? part.start + i : outputs.findIndex((_, o) => fits(t, o));
        if (output < 0) return;
        taken.add(output);
        pairs.push({ input, output });
      });
    }
    return { pairs, donated, updated };
  }
}

const donatedOf = ({ entry, inputs }: Call): NDArray[] => entry.donated.map((i) => inputs[i] as NDArray);

function overlap(a: TypedArray, b: TypedArray): boolean {
  return a.buffer === b.buffer && a.byteOffset < b.byteOffset + b.byteLength && b.byteOffset < a.byteOffset + a.byteLength;
}

/** Composites that a standard ONNX operator computes. */
const standardOps: ReadonlySet<string> = new Set(['softmax', 'logSoftmax']);

/** The result's structure with arrays in place of its leaves. */
function rebuild(result: unknown, next: () => NDArray): unknown {
  if (result === undefined || result === null) return result;
  if (result instanceof Tensor || result instanceof NDArray || typeof result !== 'object') return next();
  if (Array.isArray(result)) return result.map((r) => rebuild(r, next));
  const out: Record<string, unknown> = {};
  for (const k of Object.keys(result)) out[k] = rebuild((result as Record<string, unknown>)[k], next);
  return out;
}

/**
 * Compiles a function of nested records of tensors into one that takes and returns arrays. The function is traced at the first call for each
 * structure and shape of its arguments (or once, for declared symbolic shapes); equal graphs share one session, whatever function made them.
 *
 *     const step = compile((state: State, batch: Batch) => [newState, { loss }] as const, { donate: [0] });
 *     const [state1, metrics] = await step.run(state0, batch);
 */
export function compile<Args extends readonly unknown[], R>(fn: (...args: Args) => R, options: CompileOptions = {}): Compiled<Args, R> {
  return new Compiled(fn, options);
}
