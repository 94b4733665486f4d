import { availableThreads } from '#platform';
import { NDArray } from '../array.js';
import type { KernelEvent } from '../backends/types.js';
import type { Shape } from '../dim.js';
import { evalShape } from '../dim.js';
import { type DType, dtypeInfo } from '../dtype.js';
import { DisposedError } from '../errors.js';
import { getOrMake } from '../getOrMake.js';
import type { Graph } from '../graph.js';
import { graphKey } from '../passes/key.js';
import { isTrivial } from './cost.js';
import { InPlaceAnalysis } from './inPlace.js';
import { explain } from './modelSession.js';
import { type Plan, planSteps } from './plan.js';
import { BufferPool } from './pool.js';
import { type ExecutionOptions, open, openSync, prepareGraph, runsSync, type SessionHandle } from './sessions.js';

/** A donated argument leaf and the result leaf that takes over its memory. */
export interface Pair {
  readonly input: number;
  readonly output: number;
}

interface PreparedStep {
  readonly graph: Graph;
  readonly label: string;
  readonly group?: string;
  readonly inputs: readonly number[];
  readonly outputs: readonly number[];
}

/** The arrays of one run: `get` by value number, `finish` after a step gives idle buffers back. */
interface StepMemory {
  readonly get: (value: number) => NDArray;
  readonly finish: (step: number) => void;
}

const unreachable = new FinalizationRegistry<readonly SessionHandle[]>((handles) => {
  for (const h of handles) h.release();
});

/** A traced and optimised program: steps over numbered values, with its memory plan. */
export class Executable {
  readonly plan: Plan;
  readonly steps: readonly PreparedStep[];
  /** pairs whose output is written over the input's memory */
  readonly inPlace: ReadonlySet<number>;
  /** last step that reads or writes each value */
  readonly #lastUse: readonly number[];
  readonly #returned: ReadonlySet<number>;
  /** sessions of blocking runs, in which concurrent steps take turns on all threads */
  #handles: readonly SessionHandle[] | undefined;
  /** sessions of asynchronous runs, in which concurrent steps share the threads */
  #shared: readonly SessionHandle[] | undefined;
  /** all open sessions, apart from this object so that its finalizer can release them */
  readonly #open: SessionHandle[] = [];
  readonly #pool = new BufferPool();
  /** asynchronous runs that are over sooner than another thread could take them */
  readonly #atOnce: boolean;
  #disposed = false;

  constructor(
    graph: Graph,
    pairs: readonly Pair[],
    readonly options: ExecutionOptions,
  ) {
    this.plan = planSteps(graph);
    this.steps = this.plan.steps.map((s) => ({ ...s, graph: prepareGraph(s.graph, options) }));
    this.#atOnce = runsSync(options) && this.steps.length === 1 && isTrivial((this.steps[0] as PreparedStep).graph);
    const lastUse = this.plan.values.map(() => -1);
    this.steps.forEach((s, i) => {
      for (const v of [...s.inputs, ...s.outputs]) lastUse[v] = i;
    });
    this.#lastUse = lastUse;
    this.#returned = new Set(this.plan.outputs);
    this.inPlace = this.#provenInPlace(pairs);
    unreachable.register(this, this.#open, this.#open);
  }

  #provenInPlace(pairs: readonly Pair[]): Set<number> {
    const analyses = new Map<Graph, InPlaceAnalysis>();
    const safe = new Set<number>();
    pairs.forEach(({ input, output }, k) => {
      const value = this.plan.outputs[output] as number;
      const at = this.steps.findIndex((s) => s.outputs.includes(value));
      const step = this.steps[at];
      if (!step || this.plan.outputs.includes(input) || this.plan.outputs.filter((v) => v === value).length > 1) return;
      const readers = this.steps.flatMap((s, i) => (s.inputs.includes(input) ? [i] : []));
      const together = (i: number): boolean => i !== at && step.group !== undefined && this.steps[i]?.group === step.group;
      if (readers.some((i) => i > at || together(i))) return;
      const ports = step.inputs.flatMap((v, i) => (v === input ? [i] : []));
      if (ports.length > 1) return;
      if (ports.length === 1) {
        const analysis = getOrMake(analyses, step.graph, () => new InPlaceAnalysis(step.graph));
        const from = step.graph.inputs[ports[0] as number];
        const to = step.graph.outputs[step.outputs.indexOf(value)];
        if (!from || !to || !analysis.isSafe(from, to)) return;
      }
      safe.add(k);
    });
    return safe;
  }

  /** The sessions of blocking runs, opened at the first call. */
  openSync(): readonly SessionHandle[] {
    if (this.#handles) return this.#handles;
    const opened: SessionHandle[] = [];
    try {
      for (const s of this.steps) opened.push(openSync(s.graph, this.options));
    } catch (error) {
      for (const h of opened) h.release();
      throw error;
    }
    this.#handles = opened;
    this.#open.push(...opened);
    return opened;
  }

  /** The sessions of asynchronous runs, opened at the first call. */
  async open(): Promise<readonly SessionHandle[]> {
    if (this.#shared) return this.#shared;
    const opened: SessionHandle[] = [];
    try {
      for (const s of this.steps) opened.push(await open(s.graph, this.#optionsOf(s)));
    } catch (error) {
      for (const h of opened) h.release();
      throw error;
    }
    if (this.#shared || this.#disposed) for (const h of opened) h.release();
    else {
      this.#shared = opened;
      this.#open.push(...opened);
    }
    if (!this.#shared) throw new DisposedError('a compiled function was disposed while its sessions were built');
    return this.#shared;
  }

  /**
   * Threads are divided among the steps of a group. The threads of the steps around a group must not spin on when their work is done: they
   * would take the cores away from it.
   */
  #optionsOf(step: PreparedStep): ExecutionOptions {
    if (!this.steps.some((s) => s.group)) return this.options;
    if (!step.group) return { ...this.options, config: { 'session.force_spinning_stop': '1', ...this.options.config } };
    const members = this.steps.filter((s) => s.group === step.group).length;
    const threads = this.options.threads ?? availableThreads();
    return { ...this.options, threads: Math.max(1, Math.floor(threads / members)) };
  }

  async #run(sessions: readonly SessionHandle[], step: number, inputs: readonly NDArray[], outputs: readonly NDArray[]): Promise<void> {
    const { session, nodeIds } = sessions[step] as SessionHandle;
    try {
      await session.run(inputs, outputs);
    } catch (error) {
      throw explain(error, (this.steps[step] as PreparedStep).graph, nodeIds);
    }
  }

  #runSync(step: number, inputs: readonly NDArray[], outputs: readonly NDArray[]): void {
    const { session, nodeIds } = this.openSync()[step] as SessionHandle;
    try {
      session.runSync(inputs, outputs);
    } catch (error) {
      throw explain(error, (this.steps[step] as PreparedStep).graph, nodeIds);
    }
  }

  /** Runs the steps in order, those of a group together. */
  async #runSteps(sessions: readonly SessionHandle[], memory: StepMemory): Promise<void> {
    for (let i = 0; i < this.steps.length; ) {
      const { group } = this.steps[i] as PreparedStep;
      let end = i + 1;
      while (group && this.steps[end]?.group === group) end++;
      const members = Array.from({ length: end - i }, (_, k) => i + k);
      // All are waited for, since a step that goes on would still write into this run's memory.
      const ends = await Promise.allSettled(
        members.map((k) => {
          const step = this.steps[k] as PreparedStep;
          return this.#run(sessions, k, step.inputs.map(memory.get), step.outputs.map(memory.get));
        }),
      );
      for (const e of ends) if (e.status === 'rejected') throw e.reason;
      for (const k of members) memory.finish(k);
      i = end;
    }
  }

  /** `values` holds the arguments; the results are written into `outputs`. */
  runSync(inputs: readonly NDArray[], outputs: readonly NDArray[], symbols: ReadonlyMap<string, number>): void {
    if (this.#isDirect) {
      this.#runSync(0, inputs, outputs);
      return;
    }
    const memory = this.#memory(inputs, outputs, symbols);
    this.steps.forEach((step, i) => {
      this.#runSync(i, step.inputs.map(memory.get), step.outputs.map(memory.get));
      memory.finish(i);
    });
  }

  async run(inputs: readonly NDArray[], outputs: readonly NDArray[], symbols: ReadonlyMap<string, number>): Promise<void> {
    if (this.#atOnce) return this.runSync(inputs, outputs, symbols);
    const sessions = await this.open();
    if (this.#isDirect) await this.#run(sessions, 0, inputs, outputs);
    else await this.#runSteps(sessions, this.#memory(inputs, outputs, symbols));
  }

  /** Runs in sessions of its own that record every kernel; returns the mean wall time in milliseconds and the events of each step. */
  runProfiled(
    inputs: readonly NDArray[],
    outputs: readonly NDArray[],
    symbols: ReadonlyMap<string, number>,
    repeats: number,
  ): { wall: number; recorded: { graph: Graph; events: KernelEvent[] }[] } {
    const sessions = new Map<string, { handle: SessionHandle; graph: Graph }>();
    const ofStep = this.steps.map((s) => {
      const key = graphKey(s.graph.inputs, s.graph.outputs);
      return getOrMake(sessions, key, () => ({ handle: openSync(s.graph, this.options, true), graph: s.graph }));
    });
    const start = performance.now();
    for (let r = 0; r < repeats; r++) {
      const memory = this.#memory(inputs, outputs, symbols);
      this.steps.forEach((step, i) => {
        ofStep[i]?.handle.session.runSync(step.inputs.map(memory.get), step.outputs.map(memory.get));
        memory.finish(i);
      });
    }
    const wall = (performance.now() - start) / repeats;
    const recorded = [...sessions.values()].map(({ handle, graph }) => ({ graph, events: handle.session.endProfiling() }));
    for (const { handle } of sessions.values()) handle.release();
    return { wall, recorded };
  }

  /** One step whose ports are the program's own. */
  get #isDirect(): boolean {
    const [step] = this.steps;
    const { numInputs, outputs } = this.plan;
    return (
      this.steps.length === 1 &&
      step !== undefined &&
      step.inputs.length === numInputs &&
      step.inputs.every((v, i) => v === i) &&
      step.outputs.length === outputs.length &&
      step.outputs.every((v, i) => v === outputs[i] && v >= numInputs)
    );
  }

  #memory(inputs: readonly NDArray[], outputs: readonly NDArray[], symbols: ReadonlyMap<string, number>): StepMemory {
    const values: (NDArray | undefined)[] = [...inputs];
    const copies: [NDArray, NDArray][] = [];
    this.plan.outputs.forEach((v, i) => {
      const out = outputs[i] as NDArray;
      const taken = values[v];
      if (taken) copies.push([taken, out]);
      else values[v] = out;
    });
    const temporary = new Map<number, ArrayBuffer>();
    const get = (v: number): NDArray => {
      let array = values[v];
      if (!array) {
        const { shape, dtype } = this.plan.values[v] as { shape: Shape; dtype: DType };
        const concrete = evalShape(shape, symbols);
        const size = concrete.reduce((a, b) => a * b, 1);
        const bytes = size * dtypeInfo[dtype].bytes;
        const buffer = this.#pool.take(bytes);
        array = new NDArray(dtype, concrete, dtypeInfo[dtype].create(buffer, 0, size));
        values[v] = array;
        temporary.set(v, buffer);
      }
      return array;
    };
    const finish = (step: number): void => {
      for (const [v, buffer] of temporary) {
        if (this.#returned.has(v) || (this.#lastUse[v] as number) > step) continue;
        temporary.delete(v);
        values[v] = undefined;
        this.#pool.give(buffer);
      }
      if (step === this.steps.length - 1) for (const [from, to] of copies) (to.data as Float32Array).set(from.data as Float32Array);
    };
    return { get, finish };
  }

  dispose(): void {
    this.#disposed = true;
    unreachable.unregister(this.#open);
    for (const h of this.#open.splice(0)) h.release();
    this.#handles = undefined;
    this.#shared = undefined;
    this.#pool.clear();
  }
}
