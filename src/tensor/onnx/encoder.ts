import type { Shape } from '../dim.js';
import { type DType, dtypeInfo, type TypedArray } from '../dtype.js';
import { VitroError } from '../errors.js';
import { Writer } from './protobuf.js';

/** A 32-bit float attribute; a plain number is an integer attribute. */
export class FloatAttr {
  constructor(readonly value: number) {}
}

/** Shorthand for a float attribute. */
export const float = (value: number): FloatAttr => new FloatAttr(value);

/** Value of a NodeProto attribute: INT, FLOAT, STRING, INTS, TENSOR or GRAPH by its type. */
export type AttrValue = number | FloatAttr | string | readonly number[] | OnnxTensor | OnnxGraph;

export interface OnnxNode {
  readonly name: string;
  readonly op: string;
  /** '' is ai.onnx */
  readonly domain: string;
  /** value names; '' leaves an optional input out */
  inputs: string[];
  outputs: string[];
  readonly attrs: Readonly<Record<string, AttrValue>>;
}

/** Where the bytes of an initializer lie when they are not in the model. */
export interface ExternalData {
  readonly location: string;
  readonly offset: number;
  readonly length: number;
}

export interface OnnxTensor {
  readonly kind: 'tensor';
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** row-major data, or a reference to it */
  readonly data: TypedArray | ExternalData;
}

export interface OnnxValueInfo {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: Shape;
}

export interface OnnxGraph {
  readonly kind: 'graph';
  readonly name: string;
  readonly nodes: readonly OnnxNode[];
  readonly inputs: readonly OnnxValueInfo[];
  readonly outputs: readonly OnnxValueInfo[];
  readonly initializers: readonly OnnxTensor[];
}

export interface OnnxModel {
  readonly graph: OnnxGraph;
  /** domain -> version */
  readonly opsets: ReadonlyMap<string, number>;
  readonly irVersion: number;
  readonly producer: string;
  /** metadata_props, e.g. the version of the writer */
  readonly metadata?: ReadonlyMap<string, string>;
}

/** Largest serialized protobuf message. */
const LIMIT = 2 ** 31 - 1;

const isExternal = (data: TypedArray | ExternalData): data is ExternalData => !ArrayBuffer.isView(data);

function writeValueInfo(w: Writer, field: number, v: OnnxValueInfo): void {
  w.message(field, () => {
    w.string(1, v.name);
    w.message(2, () =>
      w.message(1, () => {
        w.int(1, dtypeInfo[v.dtype].onnx);
        w.message(2, () => {
          for (const d of v.shape)
            w.message(1, () => {
              if (typeof d === 'number') w.int(1, d);
              else w.string(2, d.key);
            });
        });
      }),
    );
  });
}

/** All of a TensorProto but the bytes of embedded data. */
function writeTensorHead(w: Writer, t: OnnxTensor): void {
  for (const d of t.shape) w.int(1, d);
  w.int(2, dtypeInfo[t.dtype].onnx);
  if (t.name) w.string(8, t.name);
  if (!isExternal(t.data)) return;
  for (const [key, value] of Object.entries(t.data))
    w.message(13, () => {
      w.string(1, key);
      w.string(2, String(value));
    });
  w.int(14, 1);
}

/** Bytes of data inside of the model. */
const embedded = (t: OnnxTensor): number => (isExternal(t.data) ? 0 : t.data.byteLength);

const rawBytes = (data: TypedArray): Uint8Array => new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

/** An initializer of a GraphProto, or the tensor of an AttributeProto: both are field 5. */
function writeTensor(w: Writer, t: OnnxTensor): void {
  w.message(5, () => {
    writeTensorHead(w, t);
    if (!isExternal(t.data)) w.data(9, rawBytes(t.data));
  });
}

function writeAttribute(w: Writer, name: string, value: AttrValue): void {
  w.message(5, () => {
    w.string(1, name);
    if (typeof value === 'number') {
      w.int(3, value);
      w.int(20, 2);
    } else if (typeof value === 'string') {
      w.string(4, value);
      w.int(20, 3);
    } else if (value instanceof FloatAttr) {
      w.float(2, value.value);
      w.int(20, 1);
    } else if (!('kind' in value)) {
      for (const x of value) w.int(8, x);
      w.int(20, 7);
    } else if (value.kind === 'tensor') {
      writeTensor(w, value);
      w.int(20, 4);
    } else {
      w.message(6, () => writeSubgraph(w, value));
      w.int(20, 5);
    }
  });
}

function writeNode(w: Writer, node: OnnxNode): void {
  w.message(1, () => {
    for (const name of node.inputs) w.string(1, name);
    for (const name of node.outputs) w.string(2, name);
    w.string(3, node.name);
    w.string(4, node.op);
    for (const name in node.attrs) writeAttribute(w, name, node.attrs[name] as AttrValue);
    if (node.domain) w.string(7, node.domain);
  });
}

function writeSubgraph(w: Writer, graph: OnnxGraph): void {
  for (const node of graph.nodes) writeNode(w, node);
  w.string(2, graph.name);
  for (const t of graph.initializers) writeTensor(w, t);
  for (const v of graph.inputs) writeValueInfo(w, 11, v);
  for (const v of graph.outputs) writeValueInfo(w, 12, v);
}

const written = (capacity: number, write: (w: Writer) => void): Uint8Array => {
  const w = new Writer(capacity);
  write(w);
  return w.bytes();
};

/** Embedded data from this size on is copied once only, into the finished model. */
const LARGE = 4096;

/** The initializers as pieces: small ones written together, the bytes of large ones referred to. */
function initializerPieces(tensors: readonly OnnxTensor[]): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  let small = new Writer();
  for (const t of tensors) {
    if (embedded(t) < LARGE) {
      writeTensor(small, t);
      continue;
    }
    const raw = rawBytes(t.data as TypedArray);
    const head = written(128, (w) => {
      writeTensorHead(w, t);
      w.head(9, raw.length);
    });
    small.head(5, head.length + raw.length);
    pieces.push(small.bytes(), head, raw);
    small = new Writer();
  }
  return [...pieces, small.bytes()];
}

const totalSize = (pieces: readonly Uint8Array[]): number => pieces.reduce((sum, p) => sum + p.length, 0);

/**
 * Serializes an ONNX ModelProto (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto). The output is canonical: equal models
 * give equal bytes. Throws when the model passes protobuf's limit of 2 GB.
 */
export function encodeModel(model: OnnxModel): Uint8Array {
  const { graph } = model;
  const nodes = written(64 + graph.nodes.length * 128, (w) => {
    for (const node of graph.nodes) writeNode(w, node);
    w.string(2, graph.name);
  });
  const ports = written(1024, (w) => {
    for (const v of graph.inputs) writeValueInfo(w, 11, v);
    for (const v of graph.outputs) writeValueInfo(w, 12, v);
  });
  const body = [nodes, ...initializerPieces(graph.initializers), ports];
  const graphSize = totalSize(body);
  const front = written(64, (w) => {
    w.int(1, model.irVersion);
    w.string(2, model.producer);
    // avoids a negative shift result past 2 GB: the size is checked below
    w.head(7, Math.min(graphSize, LIMIT));
  });
  const back = written(64, (w) => {
    for (const [domain, version] of model.opsets)
      w.message(8, () => {
        if (domain) w.string(1, domain);
        w.int(2, version);
      });
    for (const [key, value] of model.metadata ?? [])
      w.message(14, () => {
        w.string(1, key);
        w.string(2, value);
      });
  });
  const size = front.length + graphSize + back.length;
  if (size > LIMIT) {
    const largest = graph.initializers.reduce((a, b) => (embedded(b) > embedded(a) ? b : a));
    throw new VitroError(
      `the ONNX model would take ${(size / 2 ** 30).toFixed(2)} GiB; a model file holds at most 2 GiB. Keep large constants outside ` +
        `(lower with \`externalInitializers\` or \`externalBytes\`); the largest here is ${largest.dtype}[${largest.shape.join(', ')}]`,
    );
  }
  const out = new Uint8Array(size);
  let at = 0;
  for (const piece of [front, ...body, back]) {
    out.set(piece, at);
    at += piece.length;
  }
  return out;
}
