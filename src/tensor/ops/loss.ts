import { type Shape, shapeEq, shapeStr, sizeOf } from '../dim.js';
import { OpError } from '../errors.js';
import { apply, type Tensor } from '../graph.js';
import { cast, div, le, maximum } from './elementwise.js';
import { reshape } from './movement.js';
import { asFloat, asIndices, dimOf, type Operand } from './operand.js';
import { sum } from './reduce.js';

export interface LossOptions {
  /** 'mean' over the targets that count (default), 'sum', or 'none' for one value per target */
  readonly reduction?: 'mean' | 'sum' | 'none';
}

/** Applies the reduction to losses [M]; targets below 0 do not count. */
function reduceLosses(losses: Tensor, targets: Tensor, shape: Shape, reduction: LossOptions['reduction'] = 'mean'): Tensor {
  if (reduction === 'none') return reshape(losses, shape);
  const total = sum(losses);
  return reduction === 'sum' ? total : div(total, maximum(sum(cast(le(0, targets), 'f32')), 1));
}

/** Checks targets against the leading axes of x; returns both with those axes joined. */
function rows(op: string, x: Tensor, targets: Tensor): [Tensor, Tensor] {
  if (x.rank === 0 || !shapeEq(x.shape.slice(0, -1), targets.shape))
    throw new OpError(op, `targets ${shapeStr(targets.shape)} must have the leading axes of ${shapeStr(x.shape)}`);
  const count = sizeOf(targets.shape);
  return [reshape(x, [count, dimOf(x, -1)]), reshape(targets, [count])];
}

/** -log softmax(logits)[target]: logits [..., V], targets integer [...]. A target below 0 is left out (loss 0, not counted in the mean). */
export function crossEntropy(logits: Operand, targets: Operand, options: LossOptions = {}): Tensor {
  const labels = asIndices('crossEntropy', targets);
  const [x, ids] = rows('crossEntropy', asFloat('crossEntropy', logits), labels);
  return reduceLosses(apply('crossEntropy', [x, ids], {}), ids, labels.shape, options.reduction);
}

/** crossEntropy(x w^T, targets) for x [..., D], w [V, D], targets integer [...], without keeping the logits for the backward pass. */
export function linearCrossEntropy(value: Operand, weight: Operand, targets: Operand, options: LossOptions = {}): Tensor {
  const labels = asIndices('linearCrossEntropy', targets);
  const [x, ids] = rows('linearCrossEntropy', asFloat('linearCrossEntropy', value), labels);
  const losses = apply('linearCrossEntropy', [x, asFloat('linearCrossEntropy', weight), ids], {});
  return reduceLosses(losses, ids, labels.shape, options.reduction);
}
