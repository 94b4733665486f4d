import { encode, type NDArray } from '../array.js';
import { type Dim, dimEq, isStatic, type Shape } from '../dim.js';
import { type DType, dtypeInfo, type TypedArray } from '../dtype.js';
import { VitroError } from '../errors.js';
import type { Graph, Node, Tensor } from '../graph.js';
import type { Target } from '../prims.js';
import { DimTable } from './dims.js';
import type { AttrValue, OnnxNode, OnnxTensor } from './encoder.js';

/** Name of a value in the ONNX graph. */
export type Value = string;
export type Attrs = Readonly<Record<string, AttrValue>>;

/** Constants up to this many elements are shared by content. */
const SHARED_ELEMENTS = 64;

/** Domain of ONNX Runtime's own operators. */
export const MICROSOFT = 'com.microsoft';

/** What all scopes of one model share: constants, run-time dimensions, options. */
export class ModelState {
  readonly initializers: OnnxTensor[] = [];
  /** nodes of the outermost graph */
  readonly nodes: OnnxNode[] = [];
  readonly dims: DimTable;
  readonly #shared = new Map<string, Value>();
  readonly #arrays = new Map<NDArray, Value>();
  readonly #external = new Set<Value>();
  #constants = 0;
  #dimNodes = 0;

  constructor(
    readonly target: Target,
    /** the name of a constant that is to stand outside of the model, or undefined to embed it */
    readonly placeExternal: (tensor: Tensor, value: NDArray) => string | undefined,
  ) {
    this.dims = new DimTable({
      ints: (values) => this.constant('i64', [values.length], values),
      emit: (op, inputs, attrs = {}) => {
        const name = `dim.${this.#dimNodes++}`;
        this.nodes.push({ name, op, domain: '', inputs: [...inputs], outputs: [name], attrs });
        return name;
      },
    });
  }

  /** A constant of plain numbers; small ones with equal content are one initializer. */
  constant(dtype: DType, shape: readonly number[], values: readonly number[]): Value {
    if (values.length > SHARED_ELEMENTS) return this.#add(dtype, shape, encode(dtype, values));
    const key = `${dtype}[${shape.join()}]${values.map((v) => (Object.is(v, -0) ? '-0' : v)).join()}`;
    let name = this.#shared.get(key);
    if (name === undefined) {
      name = this.#add(dtype, shape, encode(dtype, values));
      this.#shared.set(key, name);
    }
    return name;
  }

  /** The constant that a node of op "constant" holds. */
  array(tensor: Tensor, value: NDArray): Value {
    const { dtype, shape, data } = value;
    const external = this.placeExternal(tensor, value);
    if (external !== undefined) return this.external(external, dtype, shape, data.byteLength);
    let name = this.#arrays.get(value);
    if (name === undefined) {
      const plain = dtype !== 'i64' && dtype !== 'f16' && dtype !== 'bf16';
      if (plain && value.size <= SHARED_ELEMENTS) name = this.constant(dtype, shape, Array.from(data as Float32Array));
      else name = this.#add(dtype, shape, data);
      this.#arrays.set(value, name);
    }
    return name;
  }

  /** Declares an initializer whose bytes are handed over apart from the model. */
  external(name: string, dtype: DType, shape: readonly number[], length: number): Value {
    if (!this.#external.has(name))
      this.initializers.push({ kind: 'tensor', name, dtype, shape, data: { location: name, offset: 0, length } });
    this.#external.add(name);
    return name;
  }

  isInitializer(value: Value): boolean {
    return this.initializers.some((t) => t.name === value);
  }

  #add(dtype: DType, shape: readonly number[], data: TypedArray): Value {
    const name = `const.${this.#constants++}`;
    this.initializers.push({ kind: 'tensor', name, dtype, shape, data });
    return name;
  }
}

/**
 * Lowers one graph: the whole model, or the body of a loop inside of it. Rules emit ONNX nodes through this; a node is named after
 * the IR node that it came from, `n<id>_<op>`, with a suffix `.k` from its second ONNX node on.
 */
export class Builder {
  readonly nodes: OnnxNode[];
  readonly #values = new Map<Tensor, Value>();
  readonly #uses = new Map<Tensor, number>();
  #stem = '';
  #emitted = 0;

  constructor(
    readonly model: ModelState,
    /** '' for the outermost graph; names of a body start with the scope of the node that runs it */
    readonly scope: string,
    readonly graph: Graph,
    nodes: readonly Node[],
  ) {
    this.nodes = scope === '' ? model.nodes : [];
    const count = (t: Tensor): unknown => this.#uses.set(t, (this.#uses.get(t) ?? 0) + 1);
    for (const node of nodes) node.inputs.forEach(count);
    graph.outputs.forEach(count);
  }

  get target(): Target {
    return this.model.target;
  }

  /** True where operators of ONNX Runtime outside of the standard may be used. */
  get contrib(): boolean {
    return this.target !== 'generic';
  }

  /** Sets the IR node that following ONNX nodes are named after. */
  begin(node: Node): void {
    this.#stem = `${this.scope}n${node.id}_${node.op}`;
    this.#emitted = 0;
  }

  /** Scope for the body of the current node. */
  get bodyScope(): string {
    return `${this.#stem}/`;
  }

  bind(tensor: Tensor, value: Value): void {
    this.#values.set(tensor, value);
  }

  /** The value of an IR tensor that has been lowered. */
  value(tensor: Tensor): Value {
    const value = this.#values.get(tensor);
    if (value === undefined)
      throw new VitroError(`internal: ${tensor.node} is used before it is lowered; is an input missing from the graph's list?`);
    return value;
  }

  values(tensors: readonly Tensor[]): Value[] {
    return tensors.map((t) => this.value(t));
  }

  /** The value of operand i of a node. */
  input(node: Node, i: number): Value {
    return this.value(operand(node, i));
  }

  /** Number of uses of a tensor by nodes and as an output of this graph. */
  uses(tensor: Tensor): number {
    return this.#uses.get(tensor) ?? 0;
  }

  /** Adds a node with `outputs` outputs. */
  multi(op: string, inputs: readonly Value[], outputs: number, attrs: Attrs = {}, domain = ''): Value[] {
    const name = this.#emitted === 0 ? this.#stem : `${this.#stem}.${this.#emitted}`;
    this.#emitted++;
    const outs = Array.from({ length: outputs }, (_, i) => (i === 0 ? name : `${name}:${i}`));
    this.nodes.push({ name, op, domain, inputs: [...inputs], outputs: outs, attrs });
    return outs;
  }

  /** Adds a node with one output. */
  op(op: string, inputs: readonly Value[], attrs: Attrs = {}, domain = ''): Value {
    return this.multi(op, inputs, 1, attrs, domain)[0] as Value;
  }

  /** An int64 vector. */
  ints(values: readonly number[]): Value {
    return this.model.constant('i64', [values.length], values);
  }

  scalar(value: number, dtype: DType): Value {
    return this.model.constant(dtype, [], [value]);
  }

  constant(dtype: DType, shape: readonly number[], values: readonly number[]): Value {
    return this.model.constant(dtype, shape, values);
  }

  cast(x: Value, dtype: DType): Value {
    return this.op('Cast', [x], { to: dtypeInfo[dtype].onnx });
  }

  /** Dimensions as an int64 vector: a constant, or computed from the graph's inputs. */
  dims(dims: readonly Dim[]): Value {
    if (isStatic(dims)) return this.ints(dims);
    const parts: Value[] = [];
    let run: number[] = [];
    const flush = (): void => {
      if (run.length > 0) parts.push(this.ints(run));
      run = [];
    };
    for (const d of dims) {
      if (typeof d === 'number') run.push(d);
      else {
        flush();
        parts.push(this.model.dims.value(d));
      }
    }
    flush();
    return parts.length === 1 ? (parts[0] as Value) : this.op('Concat', parts, { axis: 0 });
  }

  /** Reshape; a single symbolic axis is -1, and axes that stay in place are copied, so that sizes are rarely computed. */
  reshape(x: Value, from: Shape, to: Shape): Value {
    if (from.length === to.length && from.every((d, i) => dimEq(d, to[i] as Dim))) return x;
    const symbolic = to.filter((d) => typeof d !== 'number').length;
    const empty = to.includes(0);
    const stays = (d: Dim, i: number): boolean => typeof d === 'number' || dimEq(d, from[i] ?? -1);
    if (symbolic > 0 && !empty) {
      if (symbolic === 1) return this.op('Reshape', [x, this.ints(to.map((d) => (typeof d === 'number' ? d : -1)))]);
      if (to.every(stays)) return this.op('Reshape', [x, this.ints(to.map((d) => (typeof d === 'number' ? d : 0)))]);
    }
    return this.op('Reshape', [x, this.dims(to)], empty || symbolic > 0 ? { allowzero: 1 } : {});
  }

  /** Broadcasts to a shape. An axis that is already right is asked for as 1, which leaves it, so its size is not computed. */
  expand(x: Value, from: Shape, to: Shape): Value {
    const lead = to.length - from.length;
    const wanted = to.map((d, i) => (i >= lead && dimEq(d, from[i - lead] as Dim) ? 1 : d));
    return lead === 0 && wanted.every((d) => d === 1) ? x : this.op('Expand', [x, this.dims(wanted)]);
  }

  /** An array without elements: one axis of the shape is 0. */
  empty(dtype: DType, shape: Shape): Value {
    return isStatic(shape) ? this.model.constant(dtype, shape, []) : this.zeros(dtype, shape);
  }

  zeros(dtype: DType, shape: Shape): Value {
    const data = encode(dtype, [0]);
    return this.op('ConstantOfShape', [this.dims(shape)], { value: { kind: 'tensor', name: '', dtype, shape: [1], data } });
  }
}

/** Operand i of a node; its shape rule has checked the count. */
export function operand(node: Node, i: number): Tensor {
  const t = node.inputs[i];
  if (!t) throw new VitroError(`internal: ${node.op} lacks operand ${i}`);
  return t;
}
