import { VitroError } from '../errors.js';
import type { Node } from '../graph.js';
import type { PrimName } from '../prims.js';
import type { Builder, Value } from './builder.js';

/** Emits the ONNX nodes of one IR node and returns the value of each output. */
export type LoweringRule<K extends PrimName> = (c: Builder, node: Node<K>) => Value | readonly Value[];

/** Rules of one theme. */
export type LoweringRules<K extends PrimName> = { readonly [P in K]: LoweringRule<P> };

/** Rule of an op that never reaches the lowering. */
export const expandedBefore = (c: Builder, node: Node): never => {
  throw new VitroError(
    `internal: ${node} reached the ONNX lowering; expand it for the target "${c.target}" first${node.where ? ` (made at ${node.where})` : ''}`,
  );
};
