import type { Node } from '../graph.js';
import { matmulRef } from './contract.js';
import { transposeRef } from './movement.js';
import { logSoftmaxRef } from './nn.js';
import { type RefArray, refArray } from './refArray.js';
import { checkIndices, type ReferenceRules } from './rule.js';

/** -log softmax(logits)[target] per row; rows with a negative target give 0. */
function crossEntropyRef(node: Node, logits: RefArray, targets: RefArray): RefArray {
  const [m, v] = logits.shape as [number, number];
  checkTargets(node, targets, v);
  const logp = logSoftmaxRef(logits, 1).data;
  const out = new Float64Array(m);
  for (let row = 0; row < m; row++) {
    const target = targets.data[row] as number;
    if (target >= 0) out[row] = -(logp[row * v + target] as number);
  }
  return refArray('f32', [m], out);
}

const checkTargets = (node: Node, targets: RefArray, v: number): void =>
  checkIndices(
    node,
    targets.data.map((t) => Math.max(t, 0)),
    v,
    1,
  );

const logitsOf = (x: RefArray, w: RefArray): RefArray => matmulRef(x, transposeRef(w, [1, 0]));

export const lossRules: ReferenceRules<'crossEntropy' | 'linearCrossEntropy' | 'linearCrossEntropyGrad'> = {
  crossEntropy: (_ctx, node, inputs) => {
    const [logits, targets] = inputs as readonly [RefArray, RefArray];
    return [crossEntropyRef(node, logits, targets)];
  },

  linearCrossEntropy: (_ctx, node, inputs) => {
    const [x, w, targets] = inputs as readonly [RefArray, RefArray, RefArray];
    return [crossEntropyRef(node, logitsOf(x, w), targets)];
  },

  // dlogits = g (softmax(logits) - onehot(target)), zero on ignored rows
  linearCrossEntropyGrad: (_ctx, node, inputs) => {
    const [x, w, targets, g] = inputs as readonly [RefArray, RefArray, RefArray, RefArray];
    const logits = logitsOf(x, w);
    const [m, v] = logits.shape as [number, number];
    checkTargets(node, targets, v);
    const logp = logSoftmaxRef(logits, 1).data;
    const dlogits = new Float64Array(m * v);
    for (let row = 0; row < m; row++) {
      const target = targets.data[row] as number;
      if (target < 0) continue;
      for (let j = 0; j < v; j++) {
        const p = Math.exp(logp[row * v + j] as number);
        dlogits[row * v + j] = (g.data[row] as number) * (p - (j === target ? 1 : 0));
      }
    }
    const d = refArray('f32', [m, v], dlogits);
    return [matmulRef(d, w), matmulRef(transposeRef(d, [1, 0]), x)];
  },
};
