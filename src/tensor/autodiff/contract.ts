import { type Dim, dimAdd, dimMul } from '../dim.js';
import { apply, type Tensor } from '../graph.js';
import * as ir from '../ir.js';
import { only, type VjpPart } from './types.js';

/** Crops (negative) or zero-pads (positive) one axis. */
function padOrCrop(x: Tensor, axis: number, low: number, high: number): Tensor {
  const size = x.shape[axis] as Dim;
  const cropped = low < 0 || high < 0 ? ir.sliceAxis(x, axis, Math.max(0, -low), dimAdd(size, Math.min(0, high))) : x;
  return ir.padAxis(cropped, axis, Math.max(0, low), Math.max(0, high));
}

export const contractVjp: VjpPart<'matmul' | 'conv1d' | 'quantMatmul'> = {
  matmul: (node, cotangents, needs) => {
    const [a, b] = node.inputs as readonly [Tensor, Tensor];
    const { transA, transB, alpha } = node.attrs;
    const g = only(cotangents);
    if (b.shape.length === 2 && a.shape.length > 2 && !transA) {
      // One flat product instead of a batch of products that would be summed afterwards.
      const rows = needs[1] ? ir.flattenLeading(a) : a;
      const gRows = needs[1] ? ir.flattenLeading(g) : g;
      return [
        needs[0] ? ir.matmul(g, b, { transB: !transB, alpha }) : null,
        needs[1] ? (transB ? ir.matmul(gRows, rows, { transA: true, alpha }) : ir.matmul(rows, gRows, { transA: true, alpha })) : null,
      ];
    }
    const da = (): Tensor =>
      transA ? ir.matmul(b, g, { transA: transB, transB: true, alpha }) : ir.matmul(g, b, { transB: !transB, alpha });
    const db = (): Tensor =>
      transB ? ir.matmul(g, a, { transA: true, transB: transA, alpha }) : ir.matmul(a, g, { transA: !transA, alpha });
    return [needs[0] ? ir.sumTo(da(), a.shape) : null, needs[1] ? ir.sumTo(db(), b.shape) : null];
  },

  conv1d: (node, cotangents, needs) => {
    const [x, w] = node.inputs as readonly [Tensor, Tensor];
    const { groups, padLow, padHigh, dilation } = node.attrs;
    const g = only(cotangents);
    const [outChannels, perGroup, taps] = w.shape as readonly [number, number, number];
    const [batch, channels] = x.shape as readonly [Dim, number, Dim];
    const outPerGroup = outChannels / groups;
    let dx: Tensor | null = null;
    if (needs[0]) {
      // Correlation with the kernel turned around, input and output channels exchanged within each group.
      const grouped = ir.transpose(ir.reshape(w, [groups, outPerGroup, perGroup, taps]), [0, 2, 1, 3]);
      const turned = apply('slice', [ir.reshape(grouped, [channels, outPerGroup, taps])], {
        starts: [0, 0, taps - 1],
        limits: [channels, outPerGroup, -1],
        steps: [1, 1, -1],
      });
      const reach = dilation * (taps - 1);
      const padded = padOrCrop(g, 2, reach - padLow, reach - padHigh);
      dx = apply('conv1d', [padded, turned], { groups, padLow: 0, padHigh: 0, dilation });
    }
    let dw: Tensor | null = null;
    if (needs[1]) {
      const padded = ir.padAxis(x, 2, padLow, padHigh);
      const length = g.shape[2] as Dim;
      const perTap = Array.from({ length: taps }, (_, k) => {
        const shifted = ir.sliceAxis(padded, 2, k * dilation, dimAdd(k * dilation, length));
        const rows = dimMul(batch, length);
        const byGroup = (t: Tensor, width: number): Tensor =>
          ir.reshape(ir.transpose(ir.reshape(t, [batch, groups, width, length]), [1, 2, 0, 3]), [groups, width, rows]);
        const product = ir.matmul(byGroup(g, outPerGroup), byGroup(shifted, perGroup), { transB: true });
        return ir.reshape(product, [outChannels, perGroup, 1]);
      });
      dw = ir.concat(perTap, 2);
    }
    return [dx, dw];
  },

  // Packed weights are constants; x and the scales have gradients, through the weight (q - zero) scale.
  quantMatmul: (node, cotangents, needs) => {
    const [x, packed, scales, zeroPoints] = node.inputs as readonly [Tensor, Tensor, Tensor, Tensor | undefined];
    const { bits } = node.attrs;
    const g = ir.flattenLeading(only(cotangents));
    const dx = needs[0] ? ir.reshape(ir.matmul(g, dequantize(packed, scales, zeroPoints, bits)), x.shape) : null;
    let dScales: Tensor | null = null;
    if (needs[2]) {
      const levels = centredLevels(packed, zeroPoints, bits);
      const dWeight = ir.matmul(g, ir.flattenLeading(x), { transA: true });
      dScales = ir.reshape(ir.sum(ir.mul(ir.reshape(dWeight, levels.shape), levels), [2]), scales.shape);
    }
    return node.inputs.map((_, i) => (i === 0 ? dx : i === 2 ? dScales : null));
  },
};

/** The integers q - zero of packed blocks (u8 [N, blocks, bytes], low nibble first), as f32 [N, blocks, values a block]. */
function centredLevels(packed: Tensor, zeroPoints: Tensor | undefined, bits: 4 | 8): Tensor {
  const [n, blocks, bytes] = packed.shape as readonly [number, number, number];
  const unpack = (u8: Tensor, count: number): Tensor => {
    const wide = ir.cast(u8, 'i32');
    if (bits === 8) return wide;
    const [low, high] = [ir.mod(wide, ir.scalar(16, 'i32')), ir.div(wide, ir.scalar(16, 'i32'))];
    const pair = [...u8.shape, 1];
    const both = ir.concat([ir.reshape(low, pair), ir.reshape(high, pair)], u8.shape.length);
    const unpacked = ir.reshape(both, [...u8.shape.slice(0, -1), (u8.shape.at(-1) as number) * 2]);
    return unpacked.shape.at(-1) === count ? unpacked : ir.sliceAxis(unpacked, u8.shape.length - 1, 0, count);
  };
  const q = ir.cast(unpack(packed, bits === 8 ? bytes : bytes * 2), 'f32');
  if (!zeroPoints) return ir.sub(q, ir.scalar(2 ** (bits - 1)));
  const rows = ir.reshape(zeroPoints, [n, Math.ceil((blocks * bits) / 8)]);
  return ir.sub(q, ir.reshape(ir.cast(unpack(rows, blocks), 'f32'), [n, blocks, 1]));
}

/** The weight f32 [N, K] that packed blocks stand for: (q - zero) * scale; see src/tensor/quant.ts for the format. */
export function dequantize(packed: Tensor, scales: Tensor, zeroPoints: Tensor | undefined, bits: 4 | 8): Tensor {
  const levels = centredLevels(packed, zeroPoints, bits);
  const [n, blocks, size] = levels.shape as readonly [number, number, number];
  return ir.reshape(ir.mul(levels, ir.reshape(scales, [n, blocks, 1])), [n, blocks * size]);
}
