import { shapeEq, shapeStr } from '../dim.js';
import { OpError } from '../errors.js';
import { makeNode, type Tensor } from '../graph.js';
import type { CustomBackward } from '../prims.js';
import { asTensor, type Operand } from './operand.js';

/** What the forward of a customVjp gives: the result(s), and the tensors that its backward needs. */
export interface CustomForward<O extends Tensor | readonly Tensor[]> {
  readonly out: O;
  readonly saved?: readonly Tensor[];
}

/**
 * A function with a gradient of its own. `backward(cotangents, saved)` takes one cotangent per result and returns one per argument
 * (null for zero), of the argument's shape. It is built from ordinary operations, so it can be differentiated again.
 *
 * @example const square = customVjp((x) => ({ out: x.mul(x), saved: [x] }), ([g], [x]) => [g.mul(x).mul(2)]);
 */
export function customVjp<O extends Tensor | readonly Tensor[]>(
  forward: (...args: Tensor[]) => CustomForward<O>,
  backward: CustomBackward,
): (...args: Operand[]) => O {
  return (...operands) => {
    const args = operands.map((x) => asTensor(x));
    const { out, saved = [] } = forward(...args);
    const outs: readonly Tensor[] = Array.isArray(out) ? out : [out];
    const node = makeNode('customVjp', [...args, ...outs, ...saved], {
      numArgs: args.length,
      numOuts: outs.length,
      backward: (cotangents, kept) => checked(backward(cotangents, kept), args),
    });
    return (Array.isArray(out) ? node.outs : node.out()) as O;
  };
}

/** Throws unless there is one gradient per argument, of its shape. */
function checked(gradients: readonly (Tensor | null)[], args: readonly Tensor[]): readonly (Tensor | null)[] {
  if (gradients.length !== args.length)
    throw new OpError('customVjp', `the backward returned ${gradients.length} gradients for ${args.length} arguments; use null for none`);
  for (const [i, g] of gradients.entries()) {
    const expected = (args[i] as Tensor).shape;
    if (g && !shapeEq(g.shape, expected))
      throw new OpError('customVjp', `the backward's gradient ${i} is ${shapeStr(g.shape)}, but the argument is ${shapeStr(expected)}`);
  }
  return gradients;
}
