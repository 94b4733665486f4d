import type { ParamSpec } from '../../contracts/index.js';
import { type NDArray, zeros } from '../../tensor/array.js';
import type { Tensor } from '../../tensor/graph.js';
import type { OptState } from './slot.js';

/**
 * How the running mean m = beta m + (1 - beta) g of one parameter is kept between steps. Optimizers that save memory keep less than m.
 */
export interface MomentStore {
  /** what stands for m = 0 */
  init(spec: ParamSpec): OptState<NDArray>;
  /** m of the last step, as far as it was kept */
  read(kept: OptState<Tensor>, spec: ParamSpec): Tensor;
  /** what is kept of m, given the gradient that went into it and what was kept before */
  write(m: Tensor, g: Tensor, before: OptState<Tensor>, spec: ParamSpec): OptState<Tensor>;
}

/** All of m in float32. */
export const wholeMoment: MomentStore = {
  init: ({ shape }) => zeros(shape),
  read: (kept) => kept as Tensor,
  write: (m) => m,
};
