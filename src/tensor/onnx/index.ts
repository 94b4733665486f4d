import type { NDArray } from '../array.js';
import type { ModelSpec, Port } from '../backends/types.js';
import { isStatic, shapeStr, sizeOf } from '../dim.js';
import { dtypeInfo } from '../dtype.js';
import { VitroError } from '../errors.js';
import { type Graph, isOp, type Node, type Tensor, topoSort } from '../graph.js';
import type { PrimName, Target } from '../prims.js';
import { Builder, ModelState, type Value } from './builder.js';
import { encodeModel, type OnnxNode, type OnnxValueInfo } from './encoder.js';
import { contractRules } from './lowerContract.js';
import { controlRules, distinctOutputs, type LowerBody } from './lowerControl.js';
import { elementwiseRules } from './lowerElementwise.js';
import { leafRules } from './lowerLeaves.js';
import { movementRules } from './lowerMovement.js';
import { nnRules } from './lowerNn.js';
import { randomRules } from './lowerRandom.js';
import { reduceRules } from './lowerReduce.js';
import type { LoweringRule, LoweringRules } from './rule.js';
import { namesRead, removeUnused, rename } from './sweep.js';

export { isNative } from './native.js';

/** ONNX operator set of the models: the newest with kernels for all that is used. */
const OPSET = 21;
/** ONNX file format that belongs to the operator set. */
const IR_VERSION = 10;

export interface LowerOptions {
  readonly target: Target;
  /** name of the graph in the file */
  readonly name?: string;
  readonly opset?: number;
  /**
   * Tensors (arguments or constants) that become initializers outside of the model, by the name to declare. Their inputs are no
   * longer ports. The data of constants is returned; that of arguments is the caller's to hand over.
   */
  readonly externalInitializers?: ReadonlyMap<Tensor, string>;
  /** Constants of at least this many bytes become initializers outside of the model; default: none. */
  readonly externalBytes?: number;
  /** Refuses operators outside of the ONNX standard, for files that any runtime loads; needs the target "generic". */
  readonly standardOnly?: boolean;
  /** names of the outputs; default: names of values */
  readonly outputNames?: readonly string[];
}

export interface LoweredModel extends ModelSpec {
  /** Data of the constants that stand outside of the model, by name. */
  readonly initializers: ReadonlyMap<string, NDArray>;
  /** For each port of `inputs`: its position in graph.inputs. */
  readonly inputIndices: readonly number[];
}

const lowerBody: LowerBody = (parent, body, bindInputs) => {
  const nodes = topoSort(body.outputs);
  const inner = new Builder(parent.model, parent.bodyScope, body, nodes);
  bindInputs(inner);
  lowerNodes(inner, nodes);
  return inner;
};

export const loweringRules: LoweringRules<PrimName> = {
  ...leafRules,
  ...elementwiseRules,
  ...reduceRules,
  ...movementRules,
  ...contractRules,
  ...randomRules,
  ...controlRules(lowerBody),
  ...nnRules,
};

function lowerNodes(c: Builder, nodes: readonly Node[]): void {
  for (const node of nodes) {
    if (node.op === 'input') continue;
    c.begin(node);
    if (node.op !== 'constant' && node.outs.every((t) => sizeOf(t.shape) === 0)) {
      // some kernels broadcast 1 against 0 to 1, so that empty results are made here
      for (const t of node.outs) c.bind(t, c.empty(t.dtype, t.shape));
      continue;
    }
    const rule = loweringRules[node.op] as LoweringRule<PrimName>;
    const given = rule(c, node);
    const values = typeof given === 'string' ? [given] : given;
    for (const [i, t] of node.outs.entries()) c.bind(t, values[i] as Value);
  }
}

/** The IR node that an ONNX node (by its name in the model or in a profile) was made for; undefined for shared helpers. */
export function parseNodeName(name: string): { id: number; op: string } | undefined {
  const match = /(?:^|\/)n(\d+)_([A-Za-z0-9]+)[^/]*$/.exec(name);
  return match ? { id: Number(match[1]), op: match[2] as string } : undefined;
}

/** Names that the lowering gives itself. */
const reserved = /^(?:n\d+_|const\.|dim\.|out\.)/;

/** Distinct names for the arguments, close to those that they were declared with. */
function portNames(inputs: readonly Tensor[], taken: Set<string>): string[] {
  return inputs.map((t) => {
    const own = isOp(t.node, 'input') ? t.node.attrs.name : '';
    const base = own === '' || reserved.test(own) ? `in_${own}` : own;
    let name = base;
    for (let k = 1; taken.has(name); k++) name = `${base}_${k}`;
    taken.add(name);
    return name;
  });
}

/**
 * Lowers a graph to a serialized ONNX model. Ports stand in the order of graph.inputs and graph.outputs; arguments that nothing reads stay
 * ports, and an output that is an argument, a constant or listed twice is copied. Composites without a kernel (see isNative) and calls
 * must have been expanded. Symbolic sizes are computed from the shapes of the arguments.
 */
export function lower(graph: Graph, options: LowerOptions): LoweredModel {
  const { target, externalInitializers, externalBytes = Number.POSITIVE_INFINITY } = options;
  const initializers = new Map<string, NDArray>();
  const taken = new Set(externalInitializers?.values());
  const model = new ModelState(target, (tensor, value) => {
    let name = externalInitializers?.get(tensor);
    if (name === undefined && value.data.byteLength >= externalBytes) name = `const.n${tensor.node.id}`;
    if (name !== undefined) initializers.set(name, value);
    return name;
  });
  const nodes = topoSort(graph.outputs);
  const c = new Builder(model, '', graph, nodes);
  const names = portNames(graph.inputs, taken);
  const inputs: OnnxValueInfo[] = [];
  const inputIndices: number[] = [];
  for (const [i, t] of graph.inputs.entries()) {
    const external = externalInitializers?.get(t);
    const name = external ?? (names[i] as string);
    c.bind(t, name);
    if (external !== undefined) {
      declareExternal(model, external, t);
      continue;
    }
    model.dims.declare(name, t.shape);
    inputs.push({ name, dtype: t.dtype, shape: t.shape });
    inputIndices.push(i);
  }
  lowerNodes(c, nodes);

  let outputs = distinctOutputs(c);
  let kept = removeUnused(model.nodes, outputs);
  if (options.outputNames) ({ nodes: kept, outputs } = withOutputNames(kept, outputs, options.outputNames, taken));
  const read = namesRead(kept);
  const needed = model.initializers.filter((t) => read.has(t.name));
  for (const name of initializers.keys()) if (!read.has(name)) initializers.delete(name);
  if (options.standardOnly) expectStandard(kept);
  const opsets = new Map([['', options.opset ?? OPSET]]);
  if (usesDomain(kept, 'com.microsoft')) opsets.set('com.microsoft', 1);
  const outputInfo = graph.outputs.map((t, i) => ({ name: outputs[i] as Value, dtype: t.dtype, shape: t.shape }));
  const bytes = encodeModel({
    graph: {
      kind: 'graph',
      name: options.name ?? 'vitro',
      nodes: kept,
      inputs,
      outputs: outputInfo,
      initializers: needed,
    },
    opsets,
    irVersion: IR_VERSION,
    producer: 'vitro',
  });
  const port = ({ name, dtype }: OnnxValueInfo): Port => ({ name, dtype });
  return { model: bytes, inputs: inputs.map(port), outputs: outputInfo.map(port), initializers, inputIndices };
}

function declareExternal(model: ModelState, name: string, t: Tensor): void {
  if (!isStatic(t.shape))
    throw new VitroError(`"${name}" cannot be an initializer: its shape ${shapeStr(t.shape)} is not fixed; leave it an argument`);
  const elements = t.shape.reduce((a, b) => a * b, 1);
  model.external(name, t.dtype, t.shape, elements * dtypeInfo[t.dtype].bytes);
}

function withOutputNames(nodes: readonly OnnxNode[], outputs: readonly Value[], names: readonly string[], taken: ReadonlySet<string>) {
  if (names.length !== outputs.length || new Set(names).size !== names.length)
    throw new VitroError(`outputNames must be ${outputs.length} distinct names, got ${names.join(', ')}`);
  const clash = names.find((n) => taken.has(n) || reserved.test(n));
  if (clash !== undefined) throw new VitroError(`outputNames: "${clash}" is the name of an argument or of an inner value; choose another`);
  return { nodes: rename(nodes, new Map(outputs.map((o, i) => [o, names[i] as string]))), outputs: [...names] };
}

/** Operators of ONNX Runtime that stand in ONNX's own domain but not in its standard. */
const runtimeOnly = new Set(['SimplifiedLayerNormalization']);

function expectStandard(nodes: readonly OnnxNode[]): void {
  const foreign = nodes.find((n) => n.domain !== '' || runtimeOnly.has(n.op));
  if (foreign)
    throw new VitroError(
      `${foreign.name} needs ${foreign.op}, which is not in the ONNX standard; lower for the target "generic" with standardOnly`,
    );
}

function usesDomain(nodes: readonly OnnxNode[], domain: string): boolean {
  return nodes.some(
    (n) =>
      n.domain === domain ||
      Object.values(n.attrs).some((a) => typeof a === 'object' && 'kind' in a && a.kind === 'graph' && usesDomain(a.nodes, domain)),
  );
}
