import type { Dim } from '../dim.js';
import { apply, type Node, type Tensor } from '../graph.js';
import * as ir from '../ir.js';
import type { PrimName, Target } from '../prims.js';
import { attentionBlocks, expandAttention, expandAttentionGrad, expandCachedAttention } from './expandAttention.js';
import { rewrite } from './rewrite.js';

type Expansion<K extends PrimName> = (node: Node<K>, inputs: readonly Tensor[], target: Target) => readonly Tensor[];

const at = (inputs: readonly Tensor[], i: number): Tensor => inputs[i] as Tensor;
const column = (t: Tensor): Tensor => ir.reshape(t, [t.shape[0] as Dim, 1]);
const clampIndex = (t: Tensor): Tensor => ir.max(t, ir.scalar(0, t.dtype));
const isTarget = (t: Tensor): Tensor => ir.cast(ir.le(ir.scalar(0, t.dtype), t), 'f32');

/** log sum exp over the last axis, from the row maxima of the logits and of their softmax: exact where the target's probability underflows. */
const logSumExp = (logits: Tensor): Tensor => {
  const axis = [ir.lastAxis(logits)];
  return ir.sub(ir.reduceMax(logits, axis), ir.log(ir.reduceMax(ir.softmax(logits), axis)));
};

function crossEntropy(logits: Tensor, targets: Tensor): Tensor {
  const picked = ir.takeAlong(logits, column(clampIndex(targets)), 1);
  return ir.mul(ir.reshape(ir.sub(logSumExp(logits), picked), targets.shape), isTarget(targets));
}

/** Gives the halves of the last axis that are rotated against each other. */
function rotaryHalves(x: Tensor, interleaved: boolean): [Tensor, Tensor] {
  const axis = ir.lastAxis(x);
  const half = (x.shape[axis] as number) / 2;
  if (!interleaved) return [ir.sliceAxis(x, axis, 0, half), ir.sliceAxis(x, axis, half, 2 * half)];
  const pairs = ir.reshape(x, [...x.shape.slice(0, -1), half, 2]);
  const pick = (i: number): Tensor => ir.reshape(ir.sliceAxis(pairs, axis + 1, i, i + 1), [...x.shape.slice(0, -1), half]);
  return [pick(0), pick(1)];
}

const rules: { readonly [K in PrimName]?: Expansion<K> } = {
  softmax: (node, [x]) => {
    const { axis } = node.attrs;
    const e = ir.exp(ir.sub(x as Tensor, ir.reduceMax(x as Tensor, [axis])));
    return [ir.div(e, ir.sum(e, [axis]))];
  },
  logSoftmax: (node, [x]) => {
    const { axis } = node.attrs;
    const shifted = ir.sub(x as Tensor, ir.reduceMax(x as Tensor, [axis]));
    return [ir.sub(shifted, ir.log(ir.sum(ir.exp(shifted), [axis])))];
  },
  rmsNorm: (node, [x, weight]) => {
    const t = x as Tensor;
    const inv = ir.recip(ir.sqrt(ir.add(ir.meanLast(ir.mul(t, t)), ir.scalar(node.attrs.eps))));
    return [ir.mul(ir.mul(t, inv), weight as Tensor), inv];
  },
  layerNorm: (node, [x, weight, bias]) => {
    const t = x as Tensor;
    const mean = ir.meanLast(t);
    const centred = ir.sub(t, mean);
    const inv = ir.recip(ir.sqrt(ir.add(ir.meanLast(ir.mul(centred, centred)), ir.scalar(node.attrs.eps))));
    return [ir.add(ir.mul(ir.mul(centred, inv), weight as Tensor), bias as Tensor), mean, inv];
  },
  silu: (_node, [x]) => [ir.mul(x as Tensor, ir.sigmoid(x as Tensor))],
  gelu: (node, [x]) => {
    const t = x as Tensor;
    if (node.attrs.approximate === 'none')
      return [ir.mul(t, ir.mul(ir.scalar(0.5), ir.add(ir.scalar(1), ir.erf(ir.mul(t, ir.scalar(Math.SQRT1_2))))))];
    const c = Math.sqrt(2 / Math.PI);
    const u = ir.mul(t, ir.add(ir.scalar(c), ir.mul(ir.scalar(c * 0.044715), ir.mul(t, t))));
    return [ir.mul(t, ir.mul(ir.scalar(0.5), ir.add(ir.scalar(1), ir.tanh(u))))];
  },
  rotary: (node, [x, cos, sin]) => {
    const { interleaved } = node.attrs;
    const [a, b] = rotaryHalves(x as Tensor, interleaved);
    const [c, s] = [cos as Tensor, sin as Tensor];
    const first = ir.sub(ir.mul(a, c), ir.mul(b, s));
    const second = ir.add(ir.mul(b, c), ir.mul(a, s));
    const axis = ir.lastAxis(first);
    if (!interleaved) return [ir.concat([first, second], axis)];
    const column_ = (t: Tensor): Tensor => ir.reshape(t, [...t.shape, 1]);
    return [ir.reshape(ir.concat([column_(first), column_(second)], axis + 1), (x as Tensor).shape)];
  },
  attention: (node, inputs, target) => expandAttention(node, inputs, attentionBlocks(node.attrs, inputs, target)),
  attentionGrad: (node, inputs, target) => expandAttentionGrad(node, inputs, attentionBlocks(node.attrs, inputs, target)),
  cachedAttention: (node, inputs) => expandCachedAttention(node, inputs),
  crossEntropy: (_node, inputs) => [crossEntropy(at(inputs, 0), at(inputs, 1))],
  linearCrossEntropy: (_node, inputs) => [crossEntropy(ir.matmul(at(inputs, 0), at(inputs, 1), { transB: true }), at(inputs, 2))],
  // dlogits = g (softmax - onehot): g scales the rows of x and dx instead, and the one-hot part is put into the probabilities in place.
  // The minimum with the row's largest probability changes nothing but makes the loss read the probabilities before they are overwritten; the
  // generic form, which is differentiated again, goes without it, since the gradient of a minimum is split where the two are equal.
  linearCrossEntropyGrad: (_node, inputs, target) => {
    const [x, w, targets] = [at(inputs, 0), at(inputs, 1), at(inputs, 2)];
    const g = column(ir.mul(at(inputs, 3), isTarget(targets)));
    const index = column(clampIndex(targets));
    const probs = ir.softmax(ir.matmul(x, w, { transB: true }));
    const picked = ir.takeAlong(probs, index, 1);
    const own = target === 'generic' ? picked : apply('min', [picked, ir.reduceMax(probs, [1])], {});
    const residual = ir.scatterAlong(probs, index, ir.sub(own, ir.scalar(1)), 1, 'set');
    const dx = ir.mul(g, ir.matmul(residual, w));
    const dw = ir.matmul(residual, ir.mul(g, x), { transA: true });
    return [dx, dw];
  },
};

/** Outputs of a composite written out in other operations. */
export function expandComposite(node: Node, target: Target, inputs: readonly Tensor[] = node.inputs): readonly Tensor[] {
  const rule = rules[node.op] as Expansion<PrimName> | undefined;
  if (!rule) throw new Error(`internal: ${node.op} is not a composite`);
  return rule(node, inputs, target);
}

export const isComposite = (op: PrimName): boolean => op in rules;

/** Expands every composite that the target has no kernel for; bodies stay as they are. */
export function expandAll(outputs: readonly Tensor[], target: Target, isNative: (node: Node, target: Target) => boolean): Tensor[] {
  let current = [...outputs];
  for (let again = true; again; ) {
    again = false;
    current = rewrite(current, (node, inputs) => {
      if (!isComposite(node.op) || isNative(node, target)) return undefined;
      again = true;
      return expandComposite(node, target, inputs);
    });
  }
  return current;
}
