import type { NDArray } from '../array.js';
import type { DType } from '../dtype.js';

export type BackendName = 'ort' | 'ort-node' | 'ort-web' | 'reference';
export type Device = 'cpu' | 'webgpu' | 'cuda';

/** How ONNX Runtime should build a session. */
export interface SessionOptions {
  readonly device: Device;
  /** intra-op threads; default: all cores */
  readonly threads?: number;
  /** ONNX Runtime's graph optimization level; default 'basic' */
  readonly optimization?: 'disabled' | 'basic' | 'extended' | 'all';
  /** arena memory patterns; default false (ENGINE.md section 1) */
  readonly memPattern?: boolean;
  /** record a profile from the start; read it with Session.endProfiling */
  readonly profile?: boolean;
  /** extra session config entries, e.g. 'session.intra_op.allow_spinning' */
  readonly config?: Readonly<Record<string, string>>;
}

export interface Port {
  readonly name: string;
  readonly dtype: DType;
}

/** A lowered graph, ready for ONNX Runtime. */
export interface ModelSpec {
  /** serialized ModelProto */
  readonly model: Uint8Array;
  readonly inputs: readonly Port[];
  readonly outputs: readonly Port[];
  /**
   * Initializers declared in the model with external data whose location is the tensor's own name. Backend 'ort' reads them where they
   * are, without a copy of its own; the arrays must not be changed in size or disposed while the session lives.
   */
  readonly initializers?: ReadonlyMap<string, NDArray>;
  /**
   * Where file-based external data lies, which ONNX Runtime maps into memory: a folder (the model is `model`), or the path of an .onnx
   * file (which is loaded instead of `model`) beside its data. Data outside of that folder is refused.
   */
  readonly modelPath?: string;
}

/** One kernel execution out of ONNX Runtime's profile. */
export interface KernelEvent {
  /** node name given by the lowering */
  readonly node: string;
  readonly op: string;
  readonly microseconds: number;
  readonly provider: string;
}

/**
 * A session. `inputs` and `outputs` stand in the order of the ModelSpec; every output is a preallocated array that is written in place
 * (an output may share memory with an input: the caller has proved that safe).
 */
export interface Session {
  runSync(inputs: readonly NDArray[], outputs: readonly NDArray[]): void;
  run(inputs: readonly NDArray[], outputs: readonly NDArray[]): Promise<void>;
  endProfiling(): KernelEvent[];
  /** Frees the session; idempotent. Also happens when the object is garbage-collected. */
  dispose(): void;
}

export interface Backend {
  readonly name: BackendName;
  /** Devices that really work here. */
  devices(): readonly Device[];
  /** True where createSessionSync and Session.runSync work. */
  readonly sync: boolean;
  /** True where results are written where their arrays lie, so that one that takes over an argument's memory costs no copy. */
  readonly direct: boolean;
  createSessionSync(spec: ModelSpec, options: SessionOptions): Session;
  createSession(spec: ModelSpec, options: SessionOptions): Promise<Session>;
}

/** What `vitro doctor` says of a backend: `problem` is why it cannot be used here, absent where it can. */
export interface BackendStatus {
  readonly name: BackendName;
  /** version and place of the library that was loaded, where the backend can tell */
  readonly library?: string;
  readonly problem?: string;
}
