import type { NDArray } from '../array.js';
import { loadBackend } from '../backends/load.js';
import type { Backend, BackendName, Device, KernelEvent, Session, SessionOptions } from '../backends/types.js';
import { BackendError } from '../errors.js';
import { getOrMake } from '../getOrMake.js';
import { Graph, isOp, type Tensor, topoSort } from '../graph.js';
import { isNative, type LoweredModel, lower } from '../onnx/index.js';
import { graphKey } from '../passes/key.js';
import { optimize } from '../passes/optimize.js';
import type { Target } from '../prims.js';
import { evaluate, fromNDArray, toNDArray } from '../reference/index.js';
import { ModelSession } from './modelSession.js';
import { storeWeights } from './weightFiles.js';

/** Where and how a compiled function runs. */
export interface ExecutionOptions {
  /** default: the platform's first backend that loads ('ort' on Node, 'ort-web' in a browser) */
  readonly backend?: BackendName;
  /** default 'cpu' */
  readonly device?: Device;
  /** intra-op threads of ONNX Runtime; default: all cores */
  readonly threads?: number;
  /** ONNX Runtime's own graph optimization; default 'disabled', since the engine has optimised already (ENGINE.md section 7) */
  readonly optimization?: SessionOptions['optimization'];
  /**
   * A folder for constants from 256 KB on (the weights of an inference function). They are written there once and memory-mapped, so that processes and
   * sessions share them; without it they are read where they lie.
   */
  readonly weightsFolder?: string;
  /** further ONNX Runtime session entries */
  readonly config?: Readonly<Record<string, string>>;
}

export const targetOf = (backend: Backend, device: Device): Target =>
  backend.name === 'reference' ? 'generic' : device === 'cpu' ? (backend.name === 'ort-web' ? 'wasm' : 'cpu') : device;

/**
 * Reads the caller's line of every node now. Until then V8 keeps the frames of the trace, and with them all that they refer to (the compiled
 * function too, which could then not be collected while the session lives).
 */
function forgetFrames(outputs: readonly Tensor[]): void {
  for (const node of topoSort(outputs)) {
    void node.trace.stack;
    if (isOp(node, 'scan')) forgetFrames(node.attrs.body.outputs);
  }
}

/** Evaluates a graph with the float64 interpreter behind the interface of a session. */
class ReferenceSession implements Session {
  constructor(readonly graph: Graph) {
    forgetFrames(graph.outputs);
  }
  runSync(inputs: readonly NDArray[], outputs: readonly NDArray[]): void {
    const results = evaluate(this.graph, inputs.map(fromNDArray));
    outputs.forEach((out, i) => {
      const result = results[i];
      if (result) (out.data as Float32Array).set(toNDArray(result).data as Float32Array);
    });
  }
  async run(inputs: readonly NDArray[], outputs: readonly NDArray[]): Promise<void> {
    this.runSync(inputs, outputs);
  }
  endProfiling(): KernelEvent[] {
    throw new BackendError('the reference interpreter records no profile; use backend "ort"');
  }
  dispose(): void {}
}

/**
 * Sessions by structure and options, shared by all compiled functions and counted. They must not refer to the graphs that they were made of:
 * those refer to the compiled functions.
 */
interface Shared {
  readonly session: Session;
  /** ids of the graph's nodes in topological order, which the model's nodes are named after */
  readonly nodeIds: readonly number[];
  users: number;
}
const shared = new Map<string, Shared>();

/** A use of a session; the last release disposes of it. */
export interface SessionHandle {
  readonly session: Session;
  readonly nodeIds: readonly number[];
  release(): void;
}

const backendFor = (options: ExecutionOptions): Backend => loadBackend(options.backend);

/** Whether blocking runs are possible. */
export const runsSync = (options: ExecutionOptions): boolean => backendFor(options).sync;

/** Whether a result that takes over an argument's memory costs no copy. */
export const writesInPlace = (options: Pick<ExecutionOptions, 'backend'>): boolean => loadBackend(options.backend).direct;

/** The graph as it will be executed: composites expanded for the target, simplified, common subexpressions merged. */
export function prepareGraph(graph: Graph, options: ExecutionOptions): Graph {
  const target = targetOf(backendFor(options), options.device ?? 'cpu');
  return new Graph(graph.inputs, optimize(graph.outputs, target, target === 'generic' ? () => true : isNative));
}

function sessionOptions(options: ExecutionOptions, profile: boolean): SessionOptions {
  return {
    device: options.device ?? 'cpu',
    optimization: options.optimization ?? 'disabled',
    profile,
    ...(options.threads === undefined ? {} : { threads: options.threads }),
    ...(options.config === undefined ? {} : { config: options.config }),
  };
}

function cacheKey(graph: Graph, options: ExecutionOptions, backend: Backend): string {
  return `${backend.name} ${options.device ?? 'cpu'} ${options.threads ?? ''} ${options.optimization ?? ''} ${options.weightsFolder ?? ''} ${JSON.stringify(options.config ?? {})}\n${graphKey(graph.inputs, graph.outputs)}`;
}

const newEntry = (session: Session, graph: Graph): Shared => ({ session, nodeIds: topoSort(graph.outputs).map((n) => n.id), users: 0 });

function handleOf(key: string, entry: Shared): SessionHandle {
  entry.users++;
  let released = false;
  return {
    session: entry.session,
    nodeIds: entry.nodeIds,
    release: () => {
      if (released) return;
      released = true;
      if (--entry.users > 0) return;
      shared.delete(key);
      entry.session.dispose();
    },
  };
}

/** Constants from this size on (weights) are handed to the session beside the model instead of inside it. */
const externalBytes = 256 * 1024;

/** Lowers an optimised graph for a backend that runs ONNX. */
function modelOf(graph: Graph, backend: Backend, options: ExecutionOptions): LoweredModel {
  const target = targetOf(backend, options.device ?? 'cpu');
  const { weightsFolder } = options;
  if (weightsFolder === undefined) return lower(graph, { target, externalBytes });
  const model = lower(graph, { target, externalInitializers: storeWeights(graph, weightsFolder, externalBytes) });
  return { ...model, initializers: new Map(), modelPath: weightsFolder };
}

/** Builds, or takes from the cache, the session of an optimised graph. */
export function openSync(graph: Graph, options: ExecutionOptions, profile = false): SessionHandle {
  const backend = backendFor(options);
  const make = (): Session => {
    if (backend.name === 'reference') return new ReferenceSession(graph);
    const model = modelOf(graph, backend, options);
    return new ModelSession(backend.createSessionSync(model, sessionOptions(options, profile)), model, graph.inputs.length);
  };
  if (profile) return handleOf('', newEntry(make(), graph));
  const key = cacheKey(graph, options, backend);
  return handleOf(
    key,
    getOrMake(shared, key, () => newEntry(make(), graph)),
  );
}

/** As openSync, for backends that only create sessions asynchronously. */
export async function open(graph: Graph, options: ExecutionOptions): Promise<SessionHandle> {
  const backend = backendFor(options);
  if (backend.sync) return openSync(graph, options);
  const key = cacheKey(graph, options, backend);
  const known = shared.get(key);
  if (known) return handleOf(key, known);
  const model = modelOf(graph, backend, options);
  const session = new ModelSession(await backend.createSession(model, sessionOptions(options, false)), model, graph.inputs.length);
  const again = shared.get(key);
  if (again) {
    session.dispose();
    return handleOf(key, again);
  }
  const entry = newEntry(session, graph);
  shared.set(key, entry);
  return handleOf(key, entry);
}

/** Sessions alive in the cache, for leak tests. */
export const liveSessions = (): number => shared.size;
