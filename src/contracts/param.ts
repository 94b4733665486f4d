/** How a parameter starts: zeros, ones, or independent normal values with the standard deviation `std`. */
export type Init = { readonly kind: 'zeros' } | { readonly kind: 'ones' } | { readonly kind: 'normal'; readonly std: number };

/**
 * What a model says of one of its parameters. Optimizers read `role`: a `matrix` maps hidden vectors to hidden vectors (stored [in, out]);
 * `embedding` is a table of rows (tied heads included); `vector` is everything of one dimension.
 */
export interface ParamSpec {
  /** marks the object as a leaf of a parameter tree */
  readonly isTreeLeaf: true;
  readonly shape: readonly number[];
  readonly role: 'matrix' | 'embedding' | 'vector';
  readonly init: Init;
}
