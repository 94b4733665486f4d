import { type Dim, shapeStr } from '../dim.js';
import { OpError } from '../errors.js';
import type { Spec, Tensor } from '../graph.js';
import { dimAt, expectDType, expectFinite, expectFloat, expectRank, expectShape, indexTypes, operands, type ShapeRules } from './check.js';

const like = (t: Tensor): Spec => ({ shape: t.shape, dtype: t.dtype });

/** Checks x [..., D] with vectors [D]; returns x's spec and the spec of a statistic [..., 1]. */
function normSpecs(op: string, x: Tensor, vectors: Readonly<Record<string, Tensor>>, eps: number): [Spec, Spec] {
  expectFloat(op, x, ...Object.values(vectors));
  if (x.rank < 1) throw new OpError(op, 'x must be [..., D], got a scalar');
  for (const [name, t] of Object.entries(vectors)) expectShape(op, name, t.shape, [dimAt(x, -1)], `[D] for x ${shapeStr(x.shape)}`);
  expectFinite(op, 'eps', eps);
  if (eps < 0) throw new OpError(op, `eps must not be negative, got ${eps}`);
  return [like(x), { shape: [...x.shape.slice(0, -1), 1], dtype: 'f32' }];
}

function checkTargets(op: string, targets: Tensor, rows: Dim): void {
  expectDType(op, 'targets', targets.dtype, indexTypes);
  expectShape(op, 'targets', targets.shape, [rows], '[M]');
}

function checkLinear(op: string, x: Tensor, w: Tensor, targets: Tensor): void {
  expectFloat(op, x, w);
  expectRank(op, 'x', x, 2, '[M, D]');
  expectRank(op, 'w', w, 2, '[V, D]');
  expectShape(op, 'w', w.shape, [dimAt(w, 0), dimAt(x, 1)], `[V, D] for x ${shapeStr(x.shape)}`);
  checkTargets(op, targets, dimAt(x, 0));
}

export const compositeRules: ShapeRules<'rmsNorm' | 'layerNorm' | 'crossEntropy' | 'linearCrossEntropy' | 'linearCrossEntropyGrad'> = {
  rmsNorm: (inputs, { eps }) => {
    const [x, weight] = operands('rmsNorm', inputs, 2);
    return normSpecs('rmsNorm', x, { weight }, eps);
  },
  layerNorm: (inputs, { eps }) => {
    const [x, weight, bias] = operands('layerNorm', inputs, 3);
    const [y, statistic] = normSpecs('layerNorm', x, { weight, bias }, eps);
    return [y, statistic, statistic];
  },
  crossEntropy: (inputs) => {
    const [logits, targets] = operands('crossEntropy', inputs, 2);
    expectFloat('crossEntropy', logits);
    expectRank('crossEntropy', 'logits', logits, 2, '[M, V]');
    checkTargets('crossEntropy', targets, dimAt(logits, 0));
    return [{ shape: [dimAt(logits, 0)], dtype: 'f32' }];
  },
  linearCrossEntropy: (inputs) => {
    const [x, w, targets] = operands('linearCrossEntropy', inputs, 3);
    checkLinear('linearCrossEntropy', x, w, targets);
    return [{ shape: [dimAt(x, 0)], dtype: 'f32' }];
  },
  linearCrossEntropyGrad: (inputs) => {
    const op = 'linearCrossEntropyGrad';
    const [x, w, targets, g] = operands(op, inputs, 4);
    checkLinear(op, x, w, targets);
    expectFloat(op, g);
    expectShape(op, 'g', g.shape, [dimAt(x, 0)], '[M]');
    return [like(x), like(w)];
  },
};
