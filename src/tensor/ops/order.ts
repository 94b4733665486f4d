import { shapeStr } from '../dim.js';
import { OpError } from '../errors.js';
import { apply, makeNode, type Tensor } from '../graph.js';
import { asTensor, dimOf, type Operand, resolveAxis } from './operand.js';

export interface CumsumOptions {
  /** default: the last */
  readonly axis?: number;
  /** leave the own element out */
  readonly exclusive?: boolean;
  /** run from the end */
  readonly reverse?: boolean;
}

/** Running sum along an axis. */
export function cumsum(value: Operand, { axis = -1, exclusive = false, reverse = false }: CumsumOptions = {}): Tensor {
  const x = asTensor(value);
  return apply('cumsum', [x], { axis: resolveAxis('cumsum', axis, x.shape), exclusive, reverse });
}

export interface TopK {
  readonly values: Tensor;
  /** i32 */
  readonly indices: Tensor;
}

/** The k largest (or smallest) values along an axis, sorted; ties by the lower index. */
export function topK(value: Operand, k: number, options: { readonly axis?: number; readonly largest?: boolean } = {}): TopK {
  const x = asTensor(value);
  const axis = resolveAxis('topK', options.axis ?? -1, x.shape);
  const node = makeNode('topK', [x], { axis, k, largest: options.largest ?? true });
  return { values: node.out(0), indices: node.out(1) };
}

/** Axis (default: the last) and direction (default: ascending). */
export interface SortOptions {
  readonly axis?: number;
  readonly descending?: boolean;
}

function ordered(op: string, value: Operand, { axis = -1, descending = false }: SortOptions): TopK {
  const x = asTensor(value);
  const resolved = resolveAxis(op, axis, x.shape);
  const size = dimOf(x, resolved);
  if (typeof size !== 'number') throw new OpError(op, `axis ${axis} of ${shapeStr(x.shape)} must have a fixed size`);
  return topK(x, size, { axis: resolved, largest: descending });
}

/** Sorted values along an axis of fixed size. */
export const sort = (x: Operand, options: SortOptions = {}): Tensor => ordered('sort', x, options).values;
/** Indices (i32) that sort x along an axis of fixed size; equal values keep their order. */
export const argsort = (x: Operand, options: SortOptions = {}): Tensor => ordered('argsort', x, options).indices;
