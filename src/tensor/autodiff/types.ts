import type { Node, Tensor } from '../graph.js';
import type { PrimName } from '../prims.js';

/**
 * Cotangents of the outputs (null = zero) to cotangents of the inputs. `needs[i]` tells which inputs are asked for; the others may be null.
 * Cotangents of f16 and bf16 values are f32.
 */
export type VjpRule<K extends PrimName> = (
  node: Node<K>,
  cotangents: readonly (Tensor | null)[],
  needs: readonly boolean[],
) => readonly (Tensor | null)[];

/** A deliberate absence: reaching it with a gradient is an error that gives the reason. */
export interface NoGrad {
  readonly noGrad: string;
}
export const noGrad = (reason: string): NoGrad => ({ noGrad: reason });

export type VjpRules = { readonly [K in PrimName]: VjpRule<K> | NoGrad };
/** The part of the table that one file holds. */
export type VjpPart<K extends PrimName> = { readonly [P in K]: VjpRule<P> | NoGrad };
/** The cotangent of a one-output node, which is present whenever its rule runs. */
export const only = (cotangents: readonly (Tensor | null)[]): Tensor => cotangents[0] as Tensor;
