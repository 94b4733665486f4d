import type { Tensor } from '../tensor/graph.js';
import { tanh } from '../tensor/ops/activation.js';
import { add, div, mul } from '../tensor/ops/elementwise.js';
import { crossEntropy, type LossOptions, linearCrossEntropy } from '../tensor/ops/loss.js';
import { matmul } from '../tensor/ops/matmul.js';
import { transpose } from '../tensor/ops/movement.js';

/** What turns last hidden states into logits. */
export interface Head {
  /** [V, D]: a row for every token */
  readonly table: Tensor;
  /** [V] */
  readonly bias?: Tensor;
  /** logits become softcap tanh(logits / softcap); 0 = off */
  readonly softcap: number;
}

/** Logits [..., V] of hidden states [..., D]. */
export function headLogits({ table, bias, softcap }: Head, hidden: Tensor): Tensor {
  const product = matmul(hidden, transpose(table, [1, 0]));
  const logits = bias ? add(product, bias) : product;
  return softcap > 0 ? mul(tanh(div(logits, softcap)), softcap) : logits;
}

/** Cross-entropy in nats of targets [...] under hidden states [..., D]; targets below 0 do not count. Logits are not kept where the head is a plain product. */
export const headLoss = (head: Head, hidden: Tensor, targets: Tensor, options: LossOptions = {}): Tensor =>
  head.softcap > 0 || head.bias
    ? crossEntropy(headLogits(head, hidden), targets, options)
    : linearCrossEntropy(hidden, head.table, targets, options);
