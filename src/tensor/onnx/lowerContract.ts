import { type Dim, sizeOf } from '../dim.js';
import type { Node, Tensor } from '../graph.js';
import { type Builder, MICROSOFT, operand, type Value } from './builder.js';
import { float } from './encoder.js';
import type { LoweringRules } from './rule.js';

interface MatmulAttrs {
  readonly transA: boolean;
  readonly transB: boolean;
  readonly alpha: number;
}

const flag = (b: boolean): number => (b ? 1 : 0);

/** The last two axes swapped. */
const swapped = (c: Builder, x: Value, rank: number): Value =>
  c.op('Transpose', [x], { perm: Array.from({ length: rank }, (_, i) => (i < rank - 2 ? i : 2 * rank - 3 - i)) });

const scaled = (c: Builder, x: Value, alpha: number): Value => (alpha === 1 ? x : c.op('Mul', [x, c.scalar(alpha, 'f32')]));

/** alpha * a b with ONNX's own operators: one Gemm for matrices, Transpose and MatMul for batches. */
function standardMatmul(c: Builder, node: Node, { transA, transB, alpha }: MatmulAttrs): Value {
  const [a, b] = [operand(node, 0), operand(node, 1)];
  const [x, y] = [c.value(a), c.value(b)];
  if (!transA && !transB) return scaled(c, c.op('MatMul', [x, y]), alpha);
  const attrs = { transA: flag(transA), transB: flag(transB), alpha: float(alpha) };
  if (a.rank === 2 && b.rank === 2) return c.op('Gemm', [x, y], attrs);
  if (!transA && b.rank === 2) {
    // rows of all batches as one matrix, which spares the transposition of the weight
    const rows: Dim[] = [sizeOf(a.shape.slice(0, -1)), a.shape[a.rank - 1] as Dim];
    const out = node.out().shape;
    return c.reshape(c.op('Gemm', [c.reshape(x, a.shape, rows), y], attrs), [rows[0] as Dim, out[out.length - 1] as Dim], out);
  }
  return scaled(c, c.op('MatMul', [transA ? swapped(c, x, a.rank) : x, transB ? swapped(c, y, b.rank) : y]), alpha);
}

/** ONNX Runtime's FusedMatMul: transposition and scale inside the kernel. */
function fusedMatmul(c: Builder, node: Node, { transA, transB, alpha }: MatmulAttrs): Value {
  const inputs = c.values(node.inputs);
  if (!transA && !transB && alpha === 1) return c.op('MatMul', inputs);
  return c.op('FusedMatMul', inputs, { transA: flag(transA), transB: flag(transB), alpha: float(alpha) }, MICROSOFT);
}

/** Unpacks u8 words to f32 of the given shape, whose last axis counts `perByte` values of each byte, low bits first. */
function unpack(c: Builder, packed: Value, lead: readonly number[], bytes: number, bits: 4 | 8): Value {
  if (bits === 8) return c.cast(packed, 'f32');
  const low = c.op('BitwiseAnd', [packed, c.scalar(15, 'u8')]);
  const high = c.op('BitShift', [packed, c.scalar(4, 'u8')], { direction: 'RIGHT' });
  const column = c.ints([...lead, bytes, 1]);
  const pairs = c.op('Concat', [c.op('Reshape', [low, column]), c.op('Reshape', [high, column])], { axis: lead.length + 1 });
  return c.cast(c.op('Reshape', [pairs, c.ints([...lead, 2 * bytes])]), 'f32');
}

/** Weights [N, K] = (q - zero) * scale in f32. */
function dequantized(c: Builder, node: Node<'quantMatmul'>, k: number): Value {
  const { bits, blockSize, outFeatures: n } = node.attrs;
  const blocks = k / blockSize;
  const q = unpack(c, c.input(node, 1), [n, blocks], (blockSize * bits) / 8, bits);
  let zero = c.scalar(2 ** (bits - 1), 'f32');
  if (node.inputs.length > 3) {
    const bytes = Math.ceil((blocks * bits) / 8);
    const rows = unpack(c, c.op('Reshape', [c.input(node, 3), c.ints([n, bytes])]), [n], bytes, bits);
    const exact = (bytes * 8) / bits === blocks ? rows : c.op('Slice', [rows, c.ints([0]), c.ints([blocks]), c.ints([1])]);
    zero = c.op('Reshape', [exact, c.ints([n, blocks, 1])]);
  }
  const scales = c.op('Reshape', [c.input(node, 2), c.ints([n, blocks, 1])]);
  return c.op('Reshape', [c.op('Mul', [c.op('Sub', [q, zero]), scales]), c.ints([n, k])]);
}

const lastSize = (t: Tensor): number => t.shape[t.rank - 1] as number;

export const contractRules: LoweringRules<'matmul' | 'conv1d' | 'quantMatmul'> = {
  matmul: (c, node) => {
    const { transA } = node.attrs;
    const a = operand(node, 0);
    // the kernels do not broadcast batches where the inner size is 0
    if (a.shape[a.rank - (transA ? 2 : 1)] === 0) return c.zeros('f32', node.out().shape);
    return c.target === 'cpu' || c.target === 'cuda' ? fusedMatmul(c, node, node.attrs) : standardMatmul(c, node, node.attrs);
  },
  conv1d: (c, node) => {
    const { groups, padLow, padHigh, dilation } = node.attrs;
    return c.op('Conv', c.values(node.inputs), {
      kernel_shape: [lastSize(operand(node, 1))],
      pads: [padLow, padHigh],
      strides: [1],
      dilations: [dilation],
      group: groups,
    });
  },
  quantMatmul: (c, node) => {
    const { bits, blockSize, outFeatures } = node.attrs;
    const x = operand(node, 0);
    const k = lastSize(x);
    const matrix = x.rank === 1 ? c.reshape(c.value(x), x.shape, [1, k]) : c.value(x);
    const fixed = node.inputs.slice(1).map((_, i) => c.model.isInitializer(c.input(node, i + 1)));
    // With packed weights that are an initializer, the kernel silently ignores scales and zero points that are not.
    const y =
      c.contrib && (!fixed[0] || fixed.every(Boolean))
        ? // accuracy_level 4 multiplies in int8, many times as fast as the default
          c.op(
            'MatMulNBits',
            [matrix, ...c.values(node.inputs.slice(1))],
            { K: k, N: outFeatures, bits, block_size: blockSize, accuracy_level: 4 },
            MICROSOFT,
          )
        : c.op('MatMul', [matrix, c.op('Transpose', [dequantized(c, node, k)], { perm: [1, 0] })]);
    return x.rank === 1 ? c.reshape(y, [1, outFeatures], [outFeatures]) : y;
  },
};
