import type { Dim } from '../dim.js';
import { apply, inputTensor, makeNode, type Node, type Tensor } from '../graph.js';
import * as ir from '../ir.js';
import { expandComposite } from '../passes/expand.js';
import { substitute } from '../passes/rewrite.js';
import type { PrimName } from '../prims.js';
import { noGrad, only, type VjpPart, type VjpRule } from './types.js';
import { vjp } from './vjp.js';

/** Differentiates a composite through its expansion; serves the gradients of gradients. */
const throughExpansion =
  <K extends PrimName>(): VjpRule<K> =>
  (node, cotangents, needs) => {
    // Placeholders, because operands may depend on one another or be one tensor: the inner pass must end at each of them.
    const holders = node.inputs.map((t, i) => inputTensor(`a${i}`, t.shape, t.dtype));
    const outs = expandComposite(node as unknown as Node, 'generic', holders);
    const present = outs.flatMap((t, i) => {
      const g = cotangents[i];
      return g ? [{ t, g, holder: inputTensor(`g${i}`, g.shape, g.dtype) }] : [];
    });
    const wanted = holders.filter((_, i) => needs[i]);
    const grads = vjp(
      present.map((p) => p.t),
      wanted,
      present.map((p) => p.holder),
    );
    const actual = new Map([
      ...holders.map((h, i) => [h, node.inputs[i] as Tensor] as const),
      ...present.map((p) => [p.holder, p.g] as const),
    ]);
    const found = substitute(
      grads.filter((g): g is Tensor => g !== null),
      actual,
    )[Symbol.iterator]();
    let next = 0;
    return node.inputs.map((_, i) => (needs[i] && grads[next++] ? (found.next().value ?? null) : null));
  };

/** Sums over all axes but the last, to the shape of a per-feature parameter. */
const perFeature = (x: Tensor, like: Tensor): Tensor => ir.sumTo(x, like.shape);
const accumulate = (parts: readonly (Tensor | null)[]): Tensor | null =>
  parts.reduce((acc, p) => (acc && p ? ir.add(acc, p) : (acc ?? p)), null);

type Nn =
  | 'rmsNorm'
  | 'layerNorm'
  | 'rotary'
  | 'attention'
  | 'attentionGrad'
  | 'cachedAttention'
  | 'crossEntropy'
  | 'linearCrossEntropy'
  | 'linearCrossEntropyGrad';

export const nnVjp: VjpPart<Nn> = {
  // With t = gy x: dx = gy w inv - x inv^3 (t w) / D and dw = inv^T t, the two sums as products with a vector.
  rmsNorm: (node, [gy, gInv], needs) => {
    const [x, weight] = node.inputs as readonly [Tensor, Tensor];
    const inv = node.out(1);
    const width = x.shape.at(-1) as Dim;
    let dx: Tensor | null = null;
    let dWeight: Tensor | null = null;
    if (gy) {
      const t = ir.mul(gy, x);
      if (needs[0]) {
        const along = ir.reshape(ir.matmul(ir.flattenLeading(t), ir.reshape(weight, [width, 1])), inv.shape);
        const pull = ir.div(ir.mul(along, ir.mul(inv, ir.mul(inv, inv))), ir.dimScalar(width));
        dx = ir.sub(ir.mul(ir.mul(gy, weight), inv), ir.mul(x, pull));
      }
      if (needs[1]) dWeight = ir.reshape(ir.matmul(ir.flattenLeading(inv), ir.flattenLeading(t), { transA: true }), weight.shape);
    }
    // d inv / dx = -inv^3 x / D
    const viaInv =
      gInv && needs[0] ? ir.neg(ir.div(ir.mul(x, ir.mul(gInv, ir.mul(inv, ir.mul(inv, inv)))), ir.dimScalar(x.shape.at(-1) as Dim))) : null;
    return [accumulate([dx, viaInv]), dWeight];
  },

  layerNorm: (node, [gy, gMean, gInv], needs) => {
    const [x, weight, bias] = node.inputs as readonly [Tensor, Tensor, Tensor];
    const [mean, inv] = [node.out(1), node.out(2)];
    const normed = ir.mul(ir.sub(x, mean), inv);
    const width = ir.dimScalar(x.shape.at(-1) as Dim);
    let dx: Tensor | null = null;
    if (gy && needs[0]) {
      const gw = ir.mul(gy, weight);
      dx = ir.mul(inv, ir.sub(ir.sub(gw, ir.meanLast(gw)), ir.mul(normed, ir.meanLast(ir.mul(gw, normed)))));
    }
    const viaMean = gMean && needs[0] ? ir.broadcastTo(ir.div(gMean, width), x.shape) : null;
    const viaInv = gInv && needs[0] ? ir.neg(ir.div(ir.mul(ir.mul(gInv, ir.mul(inv, inv)), normed), width)) : null;
    return [
      accumulate([dx, viaMean, viaInv]),
      gy && needs[1] ? perFeature(ir.mul(gy, normed), weight) : null,
      gy && needs[2] ? perFeature(gy, bias) : null,
    ];
  },

  rotary: (node, cotangents, needs) => {
    const [_x, cos, sin] = node.inputs as readonly [Tensor, Tensor, Tensor];
    const g = only(cotangents);
    const dx = needs[0] ? apply('rotary', [g, cos, ir.neg(sin)], node.attrs) : null;
    if (!needs[1] && !needs[2]) return [dx, null, null];
    return [dx, ...throughExpansion<'rotary'>()(node, cotangents, [false, needs[1] ?? false, needs[2] ?? false]).slice(1)];
  },

  attention: (node, cotangents) => {
    const [q, k, v, bias] = node.inputs as readonly [Tensor, Tensor, Tensor, Tensor | undefined];
    const g = only(cotangents);
    const inputs = bias ? [q, k, v, node.out(), g, bias] : [q, k, v, node.out(), g];
    return makeNode('attentionGrad', inputs, node.attrs).outs;
  },
  attentionGrad: throughExpansion<'attentionGrad'>(),
  cachedAttention: noGrad('it serves decoding over a cache; train with attention'),

  crossEntropy: (node, cotangents) => {
    const [logits, targets] = node.inputs as readonly [Tensor, Tensor];
    const column = (t: Tensor): Tensor => ir.reshape(t, [t.shape[0] as Dim, 1]);
    const valid = ir.cast(ir.le(ir.scalar(0, targets.dtype), targets), 'f32');
    const g = column(ir.mul(only(cotangents), valid));
    const index = column(ir.max(targets, ir.scalar(0, targets.dtype)));
    return [ir.scatterAlong(ir.mul(ir.softmax(logits), g), index, ir.neg(g), 1, 'add'), null];
  },
  linearCrossEntropy: (node, cotangents) => {
    const [dx, dw] = makeNode('linearCrossEntropyGrad', [...node.inputs, only(cotangents)], {}).outs;
    return [dx ?? null, dw ?? null, null];
  },
  linearCrossEntropyGrad: throughExpansion<'linearCrossEntropyGrad'>(),
};
