import { shapeStr } from '../dim.js';
import { OpError } from '../errors.js';
import { Tensor } from '../graph.js';
import * as ir from '../ir.js';
import { type Tree, treeLeaves, treeUnflatten } from '../tree.js';
import { vjp } from './vjp.js';

export { dequantize } from './contract.js';
export { vjp } from './vjp.js';

/**
 * Gradient of a scalar loss with respect to every leaf of a nested record of tensors (parameters, inputs or intermediate values).
 * Leaves that the loss does not depend on get zeros. The result has the structure of `wrt` and can be differentiated again.
 */
export function grad<T>(loss: Tensor, wrt: T): T {
  if (loss.shape.length !== 0)
    throw new OpError('grad', `the loss must be a scalar, got shape ${shapeStr(loss.shape)}; reduce it with mean() or sum()`);
  const leaves = treeLeaves(wrt as Tree<Tensor>);
  for (const leaf of leaves) if (!(leaf instanceof Tensor)) throw new OpError('grad', `"wrt" must hold tensors only, found ${typeof leaf}`);
  const grads = vjp([loss], leaves, [ir.scalar(1)]);
  return treeUnflatten(
    wrt,
    leaves.map((leaf, i) => grads[i] ?? ir.zerosOf(leaf.shape)),
  ) as T;
}

/**
 * Turns f(params, ...rest) -> scalar, or -> [scalar, auxiliary], into a function that returns [that result, gradient of the scalar by params].
 */
export function valueAndGrad<P, Rest extends unknown[], R extends Tensor | readonly [Tensor, unknown]>(
  f: (params: P, ...rest: Rest) => R,
): (params: P, ...rest: Rest) => [R, P] {
  return (params, ...rest) => {
    const value = f(params, ...rest);
    const loss = value instanceof Tensor ? value : (value as readonly [Tensor, unknown])[0];
    return [value, grad(loss, params)];
  };
}
