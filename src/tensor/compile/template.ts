import { array, NDArray } from '../array.js';
import { bindDim, type Dim, type Shape, type SymDim, shapeEq, shapeStr, sym } from '../dim.js';
import { type DType, dtypeInfo } from '../dtype.js';
import { OpError, VitroError } from '../errors.js';
import { inputTensor, type Tensor } from '../graph.js';

/** What a compiled function accepts at a leaf: an array, a plain number (an f32 scalar) or a typed array (one axis). */
export type HostLeaf = NDArray | number | ArrayBufferView;

/** Declares dtype and shape of an argument before any value is seen; names stand for sizes that vary from call to call. */
export class ArraySpec {
  readonly isTreeLeaf = true;
  readonly shape: Shape;
  constructor(
    readonly dtype: DType,
    shape: readonly (number | string | SymDim)[],
  ) {
    if (!(dtype in dtypeInfo)) throw new VitroError(`unknown dtype "${dtype}"; known: ${Object.keys(dtypeInfo).join(', ')}`);
    this.shape = shape.map((d) => {
      if (typeof d === 'number' && (!Number.isInteger(d) || d < 0))
        throw new OpError('spec', `size ${d} in [${shape.join(', ')}]; sizes are non-negative integers or names`);
      return typeof d === 'string' ? sym(d) : d;
    });
  }
}

/** `spec('i32', ['B', 256])`: an argument whose first size is symbolic. */
export const spec = (dtype: DType, shape: readonly (number | string | SymDim)[] = []): ArraySpec => new ArraySpec(dtype, shape);

interface LeafTemplate {
  readonly kind: 'leaf';
  readonly path: string;
  readonly dtype: DType;
  readonly shape: Shape;
  readonly tensor: Tensor;
}

/** The structure and leaf types of one argument, against which later calls are matched. */
export type Template =
  | LeafTemplate
  | { readonly kind: 'list' | 'record'; readonly path: string; readonly keys: readonly string[]; readonly children: readonly Template[] }
  | { readonly kind: 'none' };

const isArrayLike = (v: unknown): v is NDArray | ArraySpec => v instanceof NDArray || v instanceof ArraySpec;

/** Reads a host leaf as an array. */
export function toArray(leaf: unknown, path: string): NDArray {
  if (leaf instanceof NDArray) return leaf;
  if (typeof leaf === 'number') return array(leaf);
  if (ArrayBuffer.isView(leaf)) return array(leaf as Float32Array);
  throw new VitroError(
    `argument ${path} is ${leaf === null ? 'null' : `a ${typeof leaf}`}; a compiled function takes arrays and numbers (close over other settings)`,
  );
}

/** Builds the template of one argument and an input tensor for each leaf. */
export function templateOf(value: unknown, path: string): Template {
  if (value === undefined || value === null) return { kind: 'none' };
  if (isArrayLike(value) || typeof value !== 'object' || ArrayBuffer.isView(value)) {
    const leaf = value instanceof ArraySpec ? value : toArray(value, path);
    return { kind: 'leaf', path, dtype: leaf.dtype, shape: leaf.shape, tensor: inputTensor(path, leaf.shape, leaf.dtype) };
  }
  const keys = Object.keys(value);
  const children = keys.map((k) => templateOf((value as Record<string, unknown>)[k], `${path}.${k}`));
  return { kind: Array.isArray(value) ? 'list' : 'record', path, keys, children };
}

/** The argument as the traced function sees it. */
export function tensorsOf(template: Template): unknown {
  switch (template.kind) {
    case 'none':
      return undefined;
    case 'leaf':
      return template.tensor;
    case 'list':
      return template.children.map(tensorsOf);
    case 'record':
      return Object.fromEntries(template.keys.map((k, i) => [k, tensorsOf(template.children[i] as Template)]));
  }
}

export function templateLeaves(template: Template): LeafTemplate[] {
  if (template.kind === 'none') return [];
  return template.kind === 'leaf' ? [template] : template.children.flatMap(templateLeaves);
}

/** What matching collects: the leaves in order, the symbols' values, and sizes that only symbols of later arguments can check. */
interface Found {
  readonly out: NDArray[];
  readonly symbols: Map<string, number>;
  readonly pending: { readonly dim: SymDim; readonly size: number; readonly problem: string }[];
}

/**
 * Matches arguments against their templates: appends their leaves to `out` and binds symbols. Returns undefined when they fit, else the
 * reason why not.
 */
export function match(
  templates: readonly Template[],
  args: readonly unknown[],
  out: NDArray[],
  symbols: Map<string, number>,
): string | undefined {
  const found: Found = { out, symbols, pending: [] };
  for (let i = 0; i < templates.length; i++) {
    const problem = matchOne(templates[i] as Template, args[i], found);
    if (problem) return problem;
  }
  for (const { dim, size, problem } of found.pending) if (bindDim(dim, size, symbols) !== true) return problem;
  return undefined;
}

function matchOne(template: Template, value: unknown, found: Found): string | undefined {
  if (template.kind === 'none') return value === undefined || value === null ? undefined : 'has a value where none was before';
  if (template.kind === 'leaf') return matchLeaf(template, value, found);
  if (typeof value !== 'object' || value === null || isArrayLike(value)) return `${template.path} should be a nested ${template.kind}`;
  const { keys, children } = template;
  const record = value as Record<string, unknown>;
  for (let i = 0; i < keys.length; i++) {
    const problem = matchOne(children[i] as Template, record[keys[i] as string], found);
    if (problem) return problem;
  }
  const given = Object.keys(record);
  // Usually the keys are the same, in the same order.
  const unknown = given.find((k, i) => k !== keys[i] && !keys.includes(k) && record[k] !== undefined && record[k] !== null);
  return unknown === undefined ? undefined : `${template.path}.${unknown} is not an input of this function`;
}

function matchLeaf({ path, dtype, shape }: LeafTemplate, value: unknown, { out, symbols, pending }: Found): string | undefined {
  if (value instanceof ArraySpec) {
    if (value.dtype === dtype && shapeEq(value.shape, shape)) return undefined;
    return `${path} is declared ${value.dtype}${shapeStr(value.shape)}, expected ${dtype}${shapeStr(shape)}`;
  }
  const leaf = value instanceof NDArray ? value : value === undefined || value === null ? undefined : toArray(value, path);
  if (!leaf) return `${path} is missing`;
  if (leaf.dtype !== dtype) return `${path} is ${leaf.dtype}, expected ${dtype}`;
  const problem = (): string => `${path} has shape ${shapeStr(leaf.shape)}, expected ${shapeStr(shape)}`;
  if (leaf.shape.length !== shape.length) return problem();
  for (let i = 0; i < shape.length; i++) {
    const declared = shape[i] as Dim;
    const size = leaf.shape[i] as number;
    const fit = typeof declared === 'number' ? declared === size : bindDim(declared, size, symbols);
    if (fit === false) return problem();
    if (fit === undefined) pending.push({ dim: declared as SymDim, size, problem: problem() });
  }
  out.push(leaf);
  return undefined;
}
