import { OpError } from '../errors.js';
import { apply, type Tensor } from '../graph.js';
import { asTensor, dimOf, type Operand } from './operand.js';

/** A weight of quantizeBlocks, as host arrays or as tensors. */
export interface QuantWeight {
  /** u8 [N, K/blockSize, blockSize*bits/8] */
  readonly packed: Operand;
  /** f32 [N*K/blockSize] */
  readonly scales: Operand;
  /** u8 [N*ceil(K/blockSize*bits/8)]; without, the zero is 2^(bits-1) */
  readonly zeroPoints?: Operand;
  readonly bits: 4 | 8;
  readonly blockSize: number;
}

/** x [..., K] times the transpose of a block-quantized weight [N, K]: [..., N]. See src/tensor/quant.ts for the format. */
export function quantMatmul(value: Operand, weight: QuantWeight): Tensor {
  const [x, packed, scales] = [asTensor(value), asTensor(weight.packed), asTensor(weight.scales)];
  const outFeatures = packed.rank > 0 ? dimOf(packed, 0) : undefined;
  if (typeof outFeatures !== 'number') throw new OpError('quantMatmul', 'the packed weight needs a fixed first size (output features)');
  const zeros = weight.zeroPoints === undefined ? [] : [asTensor(weight.zeroPoints)];
  return apply('quantMatmul', [x, packed, scales, ...zeros], { bits: weight.bits, blockSize: weight.blockSize, outFeatures });
}
