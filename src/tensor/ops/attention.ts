import { NDArray } from '../array.js';
import { shapeStr } from '../dim.js';
import { OpError } from '../errors.js';
import { apply, makeNode, type Tensor } from '../graph.js';
import { expectInteger } from '../shape/check.js';
import { add } from './elementwise.js';
import { maskToBias } from './mask.js';
import { asFloat, asTensor, constant, dimOf, type Operand } from './operand.js';

/** Tables of rotary position embedding (Su et al. 2021, arXiv:2104.09864): cos and sin of position * base^(-2i/d), [T, d/2]. */
export interface RopeTables {
  readonly cos: Tensor;
  readonly sin: Tensor;
}

/** Rotary tables for positions 0..T-1, computed on the host; gather rows of them for other positions. */
export function ropeTables(positions: number, headDim: number, base = 10000): RopeTables {
  expectInteger('ropeTables', 'positions', positions, 0);
  expectInteger('ropeTables', 'headDim', headDim, 2);
  if (headDim % 2 !== 0) throw new OpError('ropeTables', `headDim must be even, got ${headDim}`);
  if (!(base > 0)) throw new OpError('ropeTables', `base must be positive, got ${base}`);
  const half = headDim / 2;
  const table = (f: (angle: number) => number): Tensor => {
    const data = new Float32Array(positions * half);
    for (let t = 0; t < positions; t++) for (let i = 0; i < half; i++) data[t * half + i] = f(t * base ** ((-2 * i) / headDim));
    return constant(new NDArray('f32', [positions, half], data));
  };
  return { cos: table(Math.cos), sin: table(Math.sin) };
}

/**
 * Rotates pairs of x [..., T, d] by the angles of cos and sin [.., T, d/2], which broadcast to x's leading axes: pairs (i, i + d/2), or
 * (2i, 2i+1) when `interleaved`.
 */
export const applyRotary = (
  x: Operand,
  cos: Operand,
  sin: Operand,
  { interleaved = false }: { readonly interleaved?: boolean } = {},
): Tensor => apply('rotary', [asTensor(x), asTensor(cos), asTensor(sin)], { interleaved });

export interface AttentionOptions {
  /** query i sees keys up to i + Tk - Tq; default false */
  readonly causal?: boolean;
  /** factor of q k^T; default 1/sqrt(d) */
  readonly scale?: number;
  /** added to the scores; broadcasts to [B, H, Tq, Tk] */
  readonly bias?: Operand;
  /** bool, true where a query may look; broadcasts to [B, H, Tq, Tk] */
  readonly mask?: Operand;
  /** with causal: only the last `window` keys; 0 = all */
  readonly window?: number;
  /** scores become softcap * tanh(scores / softcap); 0 = off */
  readonly softcap?: number;
}

/**
 * softmax(scale q k^T + bias) v: q [B, H, Tq, d], k [B, Hkv, Tk, d], v [B, Hkv, Tk, dv] -> [B, H, Tq, dv]. With fewer key/value heads
 * than query heads, consecutive query heads share one (grouped queries).
 */
export function scaledDotProductAttention(query: Operand, key: Operand, value: Operand, options: AttentionOptions = {}): Tensor {
  const op = 'scaledDotProductAttention';
  const [q, k, v] = [asFloat(op, query), asFloat(op, key), asFloat(op, value)];
  const d = q.rank > 0 ? dimOf(q, -1) : undefined;
  if (options.scale === undefined && typeof d !== 'number')
    throw new OpError(op, `q ${shapeStr(q.shape)} has no fixed head size d; give the scale`);
  const penalties = options.mask === undefined ? [] : [maskToBias(options.mask)];
  const biases = options.bias === undefined ? penalties : [asFloat(op, options.bias), ...penalties];
  const bias = biases.length > 1 ? [biases.reduce((a, b) => add(a, b))] : biases;
  return apply('attention', [q, k, v, ...bias], {
    scale: options.scale ?? 1 / Math.sqrt(d as number),
    causal: options.causal ?? false,
    window: options.window ?? 0,
    softcap: options.softcap ?? 0,
  });
}

export interface CachedAttention {
  /** [B, S, H*d] */
  readonly out: Tensor;
  /** the caches with the new rows written, [B, Hkv, C, d] */
  readonly pastK: Tensor;
  readonly pastV: Tensor;
}

/**
 * Causal attention of S new tokens over a preallocated cache: q [B, S, H*d], k and v [B, S, Hkv*d], pastK and pastV [B, Hkv, C, d],
 * length i32 [B] (tokens already in the cache). With `rope` (tables [P, d/2], P at least C), queries and new keys are rotated by their
 * positions first. The caller keeps length + S within C.
 */
export function cachedAttention(
  inputs: Readonly<Record<'q' | 'k' | 'v' | 'pastK' | 'pastV' | 'length', Operand>> & { readonly rope?: RopeTables },
  { heads, kvHeads = heads, scale }: { readonly heads: number; readonly kvHeads?: number; readonly scale?: number },
): CachedAttention {
  const op = 'cachedAttention';
  const pastK = asFloat(op, inputs.pastK);
  const d = pastK.rank === 4 ? dimOf(pastK, 3) : undefined;
  if (typeof d !== 'number') throw new OpError(op, `pastK must be [B, Hkv, C, d] of fixed d, got ${shapeStr(pastK.shape)}`);
  const operands = [
    ...[inputs.q, inputs.k, inputs.v].map((x) => asFloat(op, x)),
    pastK,
    asFloat(op, inputs.pastV),
    asTensor(inputs.length, 'i32'),
    ...(inputs.rope ? [inputs.rope.cos, inputs.rope.sin] : []),
  ];
  const node = makeNode(op, operands, { heads, kvHeads, scale: scale ?? 1 / Math.sqrt(d) });
  return { out: node.out(0), pastK: node.out(1), pastV: node.out(2) };
}
