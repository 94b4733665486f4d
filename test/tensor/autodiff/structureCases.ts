import { apply, Graph, inputTensor, makeNode, type Tensor } from '../../../src/tensor/graph.js';
import * as ir from '../../../src/tensor/ir.js';
import { checkpoint, customVjp } from '../../../src/tensor/ops/index.js';
import type { AttentionAttrs, PrimName } from '../../../src/tensor/prims.js';
import type { Draw } from '../onnx/draw.js';
import { filled, type GradCase, given, one } from './caseParts.js';

/**
 * h' = h + scale x and n' = n + 1 (an integer), with y = (h x scale, x + h): two carries, a shared operand, results that only some readers
 * use. `spare` says whether the carries are results as well, as ops.scan makes them.
 */
const scan: GradCase = (d) => {
  const shape = d.shape(0, 2, () => d.int(1, 3));
  const [scale, h, x] = ['scale', 'h', 'x'].map((name) => inputTensor(name, shape, 'f32')) as [Tensor, Tensor, Tensor];
  const n = inputTensor('n', [], 'i32');
  const count = ir.cast(n, 'f32');
  const next = ir.add(ir.mul(h, ir.scalar(0.7)), ir.mul(ir.mul(scale, x), ir.add(count, ir.scalar(1))));
  const ys = [ir.mul(ir.mul(h, x), scale), ir.add(ir.mul(x, x), h)];
  const stored = d.bool() ? [h, n] : [];
  const body = new Graph([scale, h, n, x], [next, ir.add(n, ir.scalar(1, 'i32')), ...ys, ...stored]);
  const inputs = [d.input('f32', shape, -1, 1), d.input('f32', shape), d.input('i32', [], 0, 2), d.input('f32', [d.int(1, 4), ...shape])];
  const node = makeNode('scan', inputs, { body, numConsts: 1, numCarries: 2, reverse: d.bool() });
  const outs = [node.out(0), node.out(2), node.out(3)].filter(() => d.int(0, 3) > 0);
  return { outs: outs.length > 0 ? outs : [node.out(0)] };
};

/** A checkpoint over arguments and a captured tensor, of which some results are not used. */
const call: GradCase = (d) => {
  const shape = d.shape(1, 2);
  const [a, b, outer] = [d.input('f32', shape), d.input('f32', shape), d.input('f32', shape)];
  const inner = checkpoint((t: Tensor) => ir.mul(ir.tanh(t), outer));
  const results = checkpoint((x: Tensor, y: Tensor) => [ir.mul(inner(x), ir.exp(outer)), ir.sin(ir.mul(x, y)), y] as const)(a, b);
  const outs = results.filter(() => d.int(0, 3) > 0);
  return { outs: outs.length > 0 ? outs : [results[1]] };
};

/** sin(x) y and exp(y), with gradients written by hand. */
const custom: GradCase = (d) => {
  const shape = d.shape(0, 2);
  const [x, y] = [d.input('f32', shape), d.input('f32', shape)];
  const f = customVjp(
    (a, b) => ({ out: [ir.mul(ir.sin(a as Tensor), b as Tensor), ir.exp(b as Tensor)] as const, saved: [a as Tensor, b as Tensor] }),
    ([g, h], [a, b]) => {
      const [s, t] = [a as Tensor, b as Tensor];
      return [ir.mul(g as Tensor, ir.mul(ir.cos(s), t)), ir.add(ir.mul(g as Tensor, ir.sin(s)), ir.mul(h as Tensor, ir.exp(t)))];
    },
  );
  return { outs: f(x, y) };
};

const alongAxis =
  (op: 'softmax' | 'logSoftmax'): GradCase =>
  (d) => {
    const shape = d.shape(1, 4);
    return one(apply(op, [d.input('f32', shape)], { axis: d.int(0, shape.length - 1) }));
  };

const rotary: GradCase = (d) => {
  const [t, half] = [d.int(1, 4), d.int(1, 3)];
  const leading = filled(d, 0, 2);
  const table = (): Tensor => d.input('f32', [...(leading.length && d.bool() ? [d.bool() ? 1 : (leading.at(-1) as number)] : []), t, half]);
  return one(apply('rotary', [d.input('f32', [...leading, t, 2 * half]), table(), table()], { interleaved: d.bool() }));
};

export interface AttentionDraw {
  readonly q: Tensor;
  readonly k: Tensor;
  readonly v: Tensor;
  readonly bias: Tensor | undefined;
  readonly attrs: AttentionAttrs;
}

/** Operands of an attention in which every query sees a key. */
export function attentionOperands(d: Draw, sizes: { tq?: number; extraKeys?: number; bias?: boolean } = {}): AttentionDraw {
  const causal = d.bool();
  const [batch, kvHeads, group, size, width] = [d.int(1, 2), d.int(1, 2), d.int(1, 2), d.int(1, 3), d.int(1, 3)];
  const tq = sizes.tq ?? d.int(1, 4);
  const tk = causal ? tq + (sizes.extraKeys ?? d.int(0, 2)) : (sizes.tq ?? d.int(1, 4));
  const heads = kvHeads * group;
  const q = d.input('f32', [batch, heads, tq, size]);
  const k = d.input('f32', [batch, kvHeads, tk, size]);
  const v = d.input('f32', [batch, kvHeads, tk, width]);
  const bias = (sizes.bias ?? d.bool()) ? d.input('f32', d.below([batch, heads, tq, tk])) : undefined;
  const attrs = { scale: d.pick([0.3, 1]), causal, window: causal && d.bool() ? d.int(1, 3) : 0, softcap: d.pick([0, 0, 2]) };
  return { q, k, v, bias, attrs };
}

const attention: GradCase = (d) => {
  const { q, k, v, bias, attrs } = attentionOperands(d);
  return one(apply('attention', bias ? [q, k, v, bias] : [q, k, v], attrs));
};

/** `out` stands for any value: the rule must hold for independent operands too. */
const attentionGrad: GradCase = (d) => {
  const { q, k, v, bias, attrs } = attentionOperands(d);
  const out = apply('attention', bias ? [q, k, v, bias] : [q, k, v], attrs);
  const g = d.input('f32', out.shape as number[]);
  return { outs: makeNode('attentionGrad', bias ? [q, k, v, out, g, bias] : [q, k, v, out, g], attrs).outs };
};

const labels = (d: Draw, rows: number, classes: number): Tensor => given(d, 'i32', [rows], () => d.int(-1, classes - 1));

/** Control flow and composites at smooth points. */
export const structureCases = {
  scan,
  call,
  customVjp: custom,
  softmax: alongAxis('softmax'),
  logSoftmax: alongAxis('logSoftmax'),
  rmsNorm: (d) => {
    const shape = [...d.shape(0, 2), d.int(1, 5)];
    const { outs } = makeNode('rmsNorm', [d.input('f32', shape), d.input('f32', shape.slice(-1))], { eps: 0.1 });
    return { outs: d.bool() ? outs : outs.slice(0, 1) };
  },
  layerNorm: (d) => {
    const shape = [...d.shape(0, 2), d.int(1, 5)];
    const vector = (): Tensor => d.input('f32', shape.slice(-1));
    const { outs } = makeNode('layerNorm', [d.input('f32', shape), vector(), vector()], { eps: 0.1 });
    return { outs: d.bool() ? outs : outs.slice(0, 1) };
  },
  gelu: (d) => one(apply('gelu', [d.input('f32', d.shape(0, 3))], { approximate: d.pick(['none', 'tanh']) })),
  rotary,
  attention,
  attentionGrad,
  cachedAttention: 'none',
  crossEntropy: (d) => {
    const [rows, classes] = [d.size(), d.int(1, 5)];
    return one(apply('crossEntropy', [d.input('f32', [rows, classes]), labels(d, rows, classes)], {}));
  },
  linearCrossEntropy: (d) => {
    const [rows, width, classes] = [d.size(), d.int(1, 4), d.int(1, 5)];
    const operands = [d.input('f32', [rows, width]), d.input('f32', [classes, width]), labels(d, rows, classes)];
    return one(apply('linearCrossEntropy', operands, {}));
  },
  linearCrossEntropyGrad: (d) => {
    const [rows, width, classes] = [d.size(), d.int(1, 4), d.int(1, 5)];
    const operands = [d.input('f32', [rows, width]), d.input('f32', [classes, width]), labels(d, rows, classes), d.input('f32', [rows])];
    return { outs: makeNode('linearCrossEntropyGrad', operands, {}).outs };
  },
} satisfies { readonly [K in PrimName]?: GradCase };
