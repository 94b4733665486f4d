import type { ParamSpec, Settings } from '../../contracts/index.js';
import type { NDArray } from '../../tensor/array.js';
import { type Tree, treeLeaves } from '../../tensor/tree.js';
import type { Leaves, OptimizerMethod } from './slot.js';

/** Bytes of an optimizer's state for these parameters. */
export const stateBytes = (method: OptimizerMethod, specs: Leaves<ParamSpec>, settings: Settings = {}): number =>
  treeLeaves(method.create({ ...method.defaults, ...settings }).init(specs) as Tree<NDArray>).reduce((n, x) => n + x.data.byteLength, 0);
