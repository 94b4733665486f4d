import { shapeStr } from '../dim.js';
import { OpError } from '../errors.js';
import { apply, type Tensor } from '../graph.js';
import { add } from './elementwise.js';
import { swapAxes } from './movement.js';
import { asFloat, dimOf, type Operand } from './operand.js';

export interface ConvOptions {
  /** [O] */
  readonly bias?: Operand;
  /** steps between taps of the kernel; default 1 */
  readonly dilation?: number;
}

/**
 * Cross-correlation over time: x [B, T, C], weight [O, C/groups, K] -> [B, T', O] with T' = T + padding - dilation (K-1).
 * The number of groups follows from the weight: [C, 1, K] is a depthwise convolution. `padding` is [before, after] zeros, default none.
 */
export function conv1d(
  value: Operand,
  weight: Operand,
  { bias, dilation = 1, padding = [0, 0] }: ConvOptions & { readonly padding?: readonly [number, number] } = {},
): Tensor {
  const [x, w] = [asFloat('conv1d', value), asFloat('conv1d', weight)];
  if (x.rank !== 3 || w.rank !== 3)
    throw new OpError('conv1d', `needs x [B, T, C] and a weight [O, C/groups, K], got ${shapeStr(x.shape)} and ${shapeStr(w.shape)}`);
  const [channels, perGroup] = [dimOf(x, 2), dimOf(w, 1)];
  if (typeof channels !== 'number' || typeof perGroup !== 'number' || perGroup === 0 || channels % perGroup !== 0)
    throw new OpError(
      'conv1d',
      `the weight ${shapeStr(w.shape)} = [O, C/groups, K] does not fit the ${channels} channels of x ${shapeStr(x.shape)} = [B, T, C]`,
    );
  const attrs = { groups: channels / perGroup, padLow: padding[0], padHigh: padding[1], dilation };
  const y = swapAxes(apply('conv1d', [swapAxes(x, 1, 2), w], attrs), 1, 2);
  return bias === undefined ? y : add(y, bias);
}

/** conv1d of which step t sees only steps up to t; x [B, T, C] -> [B, T, O]. */
export function causalConv1d(x: Operand, weight: Operand, options: ConvOptions = {}): Tensor {
  const w = asFloat('causalConv1d', weight);
  const taps = w.shape[2];
  if (w.rank !== 3 || typeof taps !== 'number')
    throw new OpError('causalConv1d', `needs a weight [O, C/groups, K] of fixed K, got ${shapeStr(w.shape)}`);
  return conv1d(x, w, { ...options, padding: [(taps - 1) * (options.dilation ?? 1), 0] });
}
