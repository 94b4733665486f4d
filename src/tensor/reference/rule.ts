import { OpError } from '../errors.js';
import type { Graph, Node } from '../graph.js';
import type { PrimName } from '../prims.js';
import type { RefArray } from './refArray.js';

/** What a rule may ask of the interpreter. */
export interface RefContext {
  /** values of the symbolic dimensions */
  readonly symbols: ReadonlyMap<string, number>;
  /** evaluates a body graph under the same symbols */
  readonly evaluate: (graph: Graph, inputs: readonly RefArray[]) => RefArray[];
}

/** Values of a primitive's outputs from the values of its inputs. */
export type ReferenceRule<K extends PrimName> = (ctx: RefContext, node: Node<K>, inputs: readonly RefArray[]) => RefArray[];

/** Rules of one theme. */
export type ReferenceRules<K extends PrimName> = { readonly [P in K]: ReferenceRule<P> };

/** Throws unless every index lies in [0, size). Negative indices do not count from the end. */
export function checkIndices(node: Node, indices: Float64Array, size: number, axis: number): void {
  for (let i = 0; i < indices.length; i++) {
    const index = indices[i] as number;
    if (!(index >= 0 && index < size))
      throw new OpError(node.op, `index ${index} (position ${i}) is outside [0, ${size}) of axis ${axis}`, node.where);
  }
}
