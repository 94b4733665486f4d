import { NDArray } from '../array.js';
import { type Dim, dimAdd, dimEq, dimSub } from '../dim.js';
import { apply, type Node, type Tensor } from '../graph.js';
import * as ir from '../ir.js';
import type { AttentionAttrs, Target } from '../prims.js';

/** Queries [start, end) against keys [from, to). */
interface Block {
  readonly start: Dim;
  readonly end: Dim;
  readonly from: Dim;
  readonly to: Dim;
}

/** Finite, so that a fully masked row stays free of NaN; far below any score. */
const masked = -1e9;
const blockSize = 128;

/**
 * Cuts causal self-attention of a known length into blocks of queries that leave out the keys after them (and before the window):
 * about half of the work (ENGINE.md section 4).
 */
export function attentionBlocks(attrs: AttentionAttrs, inputs: readonly Tensor[], target: Target): readonly Block[] {
  const queries = inputs[0]?.shape[2] as Dim;
  const keys = inputs[1]?.shape[2] as Dim;
  const whole = [{ start: 0, end: queries, from: 0, to: keys }];
  if (target === 'generic' || !attrs.causal || typeof queries !== 'number' || typeof keys !== 'number' || queries <= blockSize)
    return whole;
  const offset = keys - queries;
  if (offset < 0) return whole;
  const blocks: Block[] = [];
  for (let start = 0; start < queries; start += blockSize) {
    const end = Math.min(start + blockSize, queries);
    const from = attrs.window > 0 ? Math.max(0, start + offset - attrs.window + 1) : 0;
    blocks.push({ start, end, from, to: end + offset });
  }
  return blocks;
}

/** Masks in use, so that equal ones are one array and compare as equal constants. */
const masks = new Map<string, NDArray | undefined>();

/** Zero where row i may see column j, i.e. where 0 <= i + first - j < window; undefined if every row may see every column. */
function constantMask(causal: boolean, window: number, rows: number, columns: number, first: number): NDArray | undefined {
  const key = [causal, window, rows, columns, first].join();
  if (masks.has(key)) return masks.get(key);
  const data = new Float32Array(rows * columns);
  for (let i = 0; i < rows; i++)
    for (let j = 0; j < columns; j++) {
      const distance = i + first - j;
      if ((causal && distance < 0) || (window > 0 && distance >= window)) data[i * columns + j] = masked;
    }
  const mask = data.some((x) => x !== 0) ? new NDArray('f32', [rows, columns], data) : undefined;
  masks.set(key, mask);
  return mask;
}

/** Additive causal/window mask of a block as a constant, or as a comparison of positions when a length is symbolic. */
function blockMask(attrs: AttentionAttrs, block: Block, offset: Dim): Tensor | undefined {
  if (!attrs.causal && attrs.window === 0) return undefined;
  const rows = dimSub(block.end, block.start);
  const columns = dimSub(block.to, block.from);
  const { causal, window } = attrs;
  if ([rows, columns, offset, block.start, block.from].every((d) => typeof d === 'number')) {
    const first = (block.start as number) + (offset as number) - (block.from as number);
    const mask = constantMask(causal, window, rows as number, columns as number, first);
    return mask ? ir.constantOf(mask) : undefined;
  }
  const query = ir.add(ir.iota([rows, 1], 0), ir.dimScalar(dimAdd(block.start, offset), 'i32'));
  const key = ir.add(ir.iota([1, columns], 1), ir.dimScalar(block.from, 'i32'));
  const visible = [
    ...(causal ? [ir.le(key, query)] : []),
    ...(window > 0 ? [ir.lt(ir.sub(query, key), ir.scalar(window, 'i32'))] : []),
  ].reduce(ir.and);
  return ir.where(visible, ir.scalar(0), ir.scalar(masked));
}

/** Shapes shared by the forward and the backward expansion; grouped heads get an axis of their own: [B, Hkv, G, T, d] against [B, Hkv, 1, T, d]. */
function layout(q: Tensor, k: Tensor): { group: number; split: (t: Tensor) => Tensor; spread: (t: Tensor) => Tensor; rows: number } {
  const kvHeads = k.shape[1] as number;
  const group = (q.shape[1] as number) / kvHeads;
  if (group === 1) return { group, split: (t) => t, spread: (t) => t, rows: 2 };
  return {
    group,
    split: (t) => ir.reshape(t, [t.shape[0] as Dim, kvHeads, group, ...t.shape.slice(2)]),
    spread: (t) => ir.reshape(t, [t.shape[0] as Dim, kvHeads, 1, ...t.shape.slice(2)]),
    rows: 3,
  };
}

/** A bias broadcast to [B, H, Tq, Tk], cut to a block and laid out as the scores. */
function blockBias(bias: Tensor, block: Block, q: Tensor, split: (t: Tensor) => Tensor, group: number): Tensor {
  let b = bias.shape.length < 4 ? ir.reshape(bias, [...Array<number>(4 - bias.shape.length).fill(1), ...bias.shape]) : bias;
  if (b.shape[2] !== 1) b = ir.sliceAxis(b, 2, block.start, block.end);
  if (b.shape[3] !== 1) b = ir.sliceAxis(b, 3, block.from, block.to);
  if (group === 1) return b;
  return dimEq(b.shape[1] as Dim, q.shape[1] as Dim) && b.shape[1] !== 1
    ? split(b)
    : ir.reshape(b, [b.shape[0] as Dim, 1, 1, ...b.shape.slice(2)]);
}

interface BlockParts {
  readonly q: Tensor;
  readonly k: Tensor;
  readonly v: Tensor;
  readonly probs: Tensor;
  /** derivative of the soft cap at the scores, if there is one */
  readonly capSlope: Tensor | undefined;
}

const cut = (t: Tensor, axis: number, start: Dim, end: Dim): Tensor =>
  start === 0 && dimEq(end, t.shape[axis] as Dim) ? t : ir.sliceAxis(t, axis, start, end);

/** Probabilities of one block. Forward and backward build the same nodes, which common-subexpression elimination merges. */
function blockParts(
  attrs: AttentionAttrs,
  inputs: { q: Tensor; k: Tensor; v: Tensor; bias: Tensor | undefined },
  block: Block,
): BlockParts {
  const { q, k, v, bias } = inputs;
  const { split, spread, rows, group } = layout(q, k);
  const qb = cut(split(q), rows, block.start, block.end);
  const kb = cut(spread(k), rows, block.from, block.to);
  const vb = cut(spread(v), rows, block.from, block.to);
  let scores = ir.matmul(qb, kb, { transB: true, alpha: attrs.scale });
  let capSlope: Tensor | undefined;
  if (attrs.softcap > 0) {
    const t = ir.tanh(ir.mul(scores, ir.scalar(1 / attrs.softcap)));
    scores = ir.mul(t, ir.scalar(attrs.softcap));
    capSlope = ir.sub(ir.scalar(1), ir.mul(t, t));
  }
  if (bias) scores = ir.add(scores, blockBias(bias, block, q, split, group));
  const mask = blockMask(attrs, block, dimSub(k.shape[2] as Dim, q.shape[2] as Dim));
  if (mask) scores = ir.add(scores, mask);
  return { q: qb, k: kb, v: vb, probs: ir.softmax(scores), capSlope };
}

export function expandAttention(node: Node<'attention'>, inputs: readonly Tensor[], blocks: readonly Block[]): readonly Tensor[] {
  const [q, k, v, bias] = inputs as readonly [Tensor, Tensor, Tensor, Tensor | undefined];
  const { rows } = layout(q, k);
  const outs = blocks.map((block) => {
    const p = blockParts(node.attrs, { q, k, v, bias }, block);
    return ir.matmul(p.probs, p.v);
  });
  const [batch, heads, queries] = q.shape as readonly [Dim, Dim, Dim];
  return [ir.reshape(ir.concat(outs, rows), [batch, heads, queries, v.shape[3] as Dim])];
}

/** dS = P (dP - rowsum(dO O)), as in FlashAttention (Dao et al. 2022, section B.2); sums the parts of dk and dv of all blocks. */
export function expandAttentionGrad(node: Node<'attentionGrad'>, inputs: readonly Tensor[], blocks: readonly Block[]): readonly Tensor[] {
  const [q, k, v, out, gOut, bias] = inputs as readonly [Tensor, Tensor, Tensor, Tensor, Tensor, Tensor | undefined];
  const { scale } = node.attrs;
  const { split, rows, group } = layout(q, k);
  const rowDots = ir.sum(ir.mul(gOut, out), [3]);
  const dqs: Tensor[] = [];
  const dScores: Tensor[] = [];
  let dk: Tensor | undefined;
  let dv: Tensor | undefined;
  const keys = k.shape[2] as Dim;
  const place = (t: Tensor, block: Block): Tensor => ir.padAxis(t, rows, block.from as number, dimSub(keys, block.to) as number);
  for (const block of blocks) {
    const p = blockParts(node.attrs, { q, k, v, bias }, block);
    const g = cut(split(gOut), rows, block.start, block.end);
    const dots = cut(split(rowDots), rows, block.start, block.end);
    const dScore = ir.mul(p.probs, ir.sub(ir.matmul(g, p.v, { transB: true }), dots));
    dScores.push(dScore);
    const dRaw = p.capSlope ? ir.mul(dScore, p.capSlope) : dScore;
    dqs.push(ir.matmul(dRaw, p.k, { alpha: scale }));
    const dkb = place(ir.matmul(dRaw, p.q, { transA: true, alpha: scale }), block);
    const dvb = place(ir.matmul(p.probs, g, { transA: true }), block);
    dk = dk ? ir.add(dk, dkb) : dkb;
    dv = dv ? ir.add(dv, dvb) : dvb;
  }
  const merge = (t: Tensor, like: Tensor): Tensor => ir.reshape(group === 1 ? t : ir.sum(t, [2], false), like.shape);
  const result = [ir.reshape(ir.concat(dqs, rows), q.shape), merge(dk as Tensor, k), merge(dv as Tensor, v)];
  if (!bias) return result;
  const full = [q.shape[0], q.shape[1], q.shape[2], keys] as Dim[];
  const whole = ir.concat(
    dScores.map((d, i) => place2(d, blocks[i] as Block, keys, rows)),
    rows,
  );
  return [...result, ir.sumTo(ir.reshape(whole, full), bias.shape)];
}

const place2 = (t: Tensor, block: Block, keys: Dim, rows: number): Tensor =>
  ir.padAxis(t, rows + 1, block.from as number, dimSub(keys, block.to) as number);

/** Writes the new rows into the cache and attends to everything up to each query's own position. */
export function expandCachedAttention(node: Node<'cachedAttention'>, inputs: readonly Tensor[]): readonly Tensor[] {
  const [q, k, v, pastK, pastV, length, cos, sin] = inputs as readonly [Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor?, Tensor?];
  const { heads, kvHeads, scale } = node.attrs;
  const [batch, steps] = q.shape as readonly [Dim, Dim];
  const capacity = pastK.shape[2] as Dim;
  const byHead = (t: Tensor, n: number): Tensor => ir.transpose(ir.reshape(t, [batch, steps, n, (t.shape[2] as number) / n]), [0, 2, 1, 3]);
  const start = ir.reshape(ir.cast(length, 'i32'), [batch, 1, 1, 1]);
  const position = ir.add(start, ir.iota([1, 1, steps, 1], 2));
  const rows = ir.reshape(position, [batch, 1, steps]);
  const turn = (x: Tensor): Tensor =>
    cos && sin ? apply('rotary', [x, ir.gather(cos, rows), ir.gather(sin, rows)], { interleaved: false }) : x;
  const write = (past: Tensor, rows: Tensor): Tensor => ir.scatterAlong(past, ir.broadcastTo(position, rows.shape), rows, 2, 'set');
  const keys = write(pastK, turn(byHead(k, kvHeads)));
  const values = write(pastV, byHead(v, kvHeads));
  const visible = ir.le(ir.iota([1, 1, 1, capacity], 3), position);
  const bias = ir.where(visible, ir.scalar(0), ir.scalar(masked));
  const out = apply('attention', [turn(byHead(q, heads)), keys, values, bias], { scale, causal: false, window: 0, softcap: 0 });
  const width = (heads * (v.shape[2] as number)) / kvHeads;
  const merged = ir.reshape(ir.transpose(out, [0, 2, 1, 3]), [batch, steps, width]);
  return [merged, keys, values];
}
