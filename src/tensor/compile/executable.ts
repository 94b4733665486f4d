import { allocate, NDArray } from '../array.js';
import type { KernelEvent } from '../backends/types.js';
import type { Shape } from '../dim.js';
import { evalShape } from '../dim.js';
import { type DType, dtypeInfo } from '../dtype.js';
import { getOrMake } from '../getOrMake.js';
import type { Graph } from '../graph.js';
import { graphKey } from '../passes/key.js';
import { InPlaceAnalysis } from './inPlace.js';
import { type Plan, planSteps } from './plan.js';
import { type ExecutionOptions, open, openSync, prepareGraph, type Unit, type UnitHandle } from './sessions.js';

/** A donated argument leaf and the result leaf that takes over its memory. */
export interface Pair {
  readonly input: number;
  readonly output: number;
}

interface PreparedStep {
  readonly graph: Graph;
  readonly label: string;
  readonly inputs: readonly number[];
  readonly outputs: readonly number[];
}

/** A traced and optimised program: steps over numbered values, with its memory plan. */
export class Executable {
  readonly plan: Plan;
  readonly steps: readonly PreparedStep[];
  /** pairs whose output is written over the input's memory */
  readonly inPlace: ReadonlySet<number>;
  /** last step that reads or writes each value */
  readonly #lastUse: readonly number[];
  readonly #returned: ReadonlySet<number>;
  #handles: UnitHandle[] | undefined;
  /** idle buffers for intermediate values, by size in bytes */
  readonly #pool = new Map<number, ArrayBuffer[]>();

  constructor(
    graph: Graph,
    pairs: readonly Pair[],
    readonly options: ExecutionOptions,
  ) {
    this.plan = planSteps(graph);
    this.steps = this.plan.steps.map((s) => ({ ...s, graph: prepareGraph(s.graph, options) }));
    const lastUse = this.plan.values.map(() => -1);
    this.steps.forEach((s, i) => {
      for (const v of [...s.inputs, ...s.outputs]) lastUse[v] = i;
    });
    this.#lastUse = lastUse;
    this.#returned = new Set(this.plan.outputs);
    this.inPlace = this.#provenInPlace(pairs);
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
      if (readers.some((i) => i > at)) return;
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

  get units(): readonly Unit[] {
    return (this.#handles ?? []).map((h) => h.unit);
  }

  openSync(): void {
    this.#handles ??= this.steps.map((s) => openSync(s.graph, this.options));
  }

  async open(): Promise<void> {
    if (this.#handles) return;
    const handles: UnitHandle[] = [];
    for (const s of this.steps) handles.push(await open(s.graph, this.options));
    if (this.#handles) for (const h of handles) h.release();
    else this.#handles = handles;
  }

  /** `values` holds the arguments; the results are written into `outputs`. */
  runSync(inputs: readonly NDArray[], outputs: readonly NDArray[], symbols: ReadonlyMap<string, number>): void {
    this.openSync();
    if (this.steps.length === 1 && this.#isDirect) {
      this.#handles?.[0]?.unit.session.runSync(inputs, outputs);
      return;
    }
    const memory = this.#memory(inputs, outputs, symbols);
    this.steps.forEach((step, i) => {
      this.#handles?.[i]?.unit.session.runSync(step.inputs.map(memory.get), step.outputs.map(memory.get));
      memory.finish(i);
    });
  }

  async run(inputs: readonly NDArray[], outputs: readonly NDArray[], symbols: ReadonlyMap<string, number>): Promise<void> {
    await this.open();
    if (this.steps.length === 1 && this.#isDirect) {
      await this.#handles?.[0]?.unit.session.run(inputs, outputs);
      return;
    }
    const memory = this.#memory(inputs, outputs, symbols);
    for (const [i, step] of this.steps.entries()) {
      await this.#handles?.[i]?.unit.session.run(step.inputs.map(memory.get), step.outputs.map(memory.get));
      memory.finish(i);
    }
  }

  /** Runs in sessions of its own that record every kernel; returns the mean wall time in milliseconds and the events of each step. */
  runProfiled(
    inputs: readonly NDArray[],
    outputs: readonly NDArray[],
    symbols: ReadonlyMap<string, number>,
    repeats: number,
  ): { wall: number; recorded: { graph: Graph; events: KernelEvent[] }[] } {
    const sessions = new Map<string, { handle: UnitHandle; graph: Graph }>();
    const ofStep = this.steps.map((s) => {
      const key = graphKey(s.graph.inputs, s.graph.outputs);
      return getOrMake(sessions, key, () => ({ handle: openSync(s.graph, this.options, true), graph: s.graph }));
    });
    const start = performance.now();
    for (let r = 0; r < repeats; r++) {
      const memory = this.#memory(inputs, outputs, symbols);
      this.steps.forEach((step, i) => {
        ofStep[i]?.handle.unit.session.runSync(step.inputs.map(memory.get), step.outputs.map(memory.get));
        memory.finish(i);
      });
    }
    const wall = (performance.now() - start) / repeats;
    const recorded = [...sessions.values()].map(({ handle, graph }) => ({ graph, events: handle.unit.session.endProfiling() }));
    for (const { handle } of sessions.values()) handle.release();
    return { wall, recorded };
  }

  /** One step whose ports are the program's own. */
  get #isDirect(): boolean {
    const [step] = this.steps;
    return (
      step !== undefined &&
      step.inputs.length === this.plan.numInputs &&
      step.outputs.length === this.plan.outputs.length &&
      step.label === 'main'
    );
  }

  #memory(
    inputs: readonly NDArray[],
    outputs: readonly NDArray[],
    symbols: ReadonlyMap<string, number>,
  ): { get: (v: number) => NDArray; finish: (step: number) => void } {
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
        const buffer = this.#pool.get(bytes)?.pop() ?? (allocate('u8', [bytes]).data.buffer as ArrayBuffer);
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
        const idle = this.#pool.get(buffer.byteLength);
        if (idle) idle.push(buffer);
        else this.#pool.set(buffer.byteLength, [buffer]);
      }
      if (step === this.steps.length - 1) for (const [from, to] of copies) (to.data as Float32Array).set(from.data as Float32Array);
    };
    return { get, finish };
  }

  dispose(): void {
    for (const h of this.#handles ?? []) h.release();
    this.#handles = undefined;
    this.#pool.clear();
  }
}
