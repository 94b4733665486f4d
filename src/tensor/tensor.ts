import type { Shape } from './dim.js';
import type { DType } from './dtype.js';
import type { Node } from './graph.js';

/** A symbolic value: output `index` of `node`. Model code builds graphs of these; `compile` runs them. */
export class Tensor {
  constructor(
    readonly node: Node,
    readonly index: number,
    readonly shape: Shape,
    readonly dtype: DType,
  ) {}

  get rank(): number {
    return this.shape.length;
  }
}
