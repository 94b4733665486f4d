import type { NDArray } from './array.js';
import type { Dim, Shape } from './dim.js';
import type { DType } from './dtype.js';
import type { Graph, Tensor } from './graph.js';

/** Empty attributes. */
export type None = Readonly<Record<never, never>>;
export interface AxesAttrs {
  /** sorted, non-negative */
  readonly axes: readonly number[];
  readonly keepDims: boolean;
}
export interface AxisAttrs {
  /** non-negative */
  readonly axis: number;
}

/** Backward rule of a customVjp call: cotangents of the outputs in, cotangents of the arguments out (null = zero). */
export type CustomBackward = (cotangents: readonly Tensor[], saved: readonly Tensor[]) => readonly (Tensor | null)[];

/**
 * Every primitive and composite with its attributes. The comment gives inputs -> outputs. Each rule table (shape, VJP,
 * reference, ONNX or decomposition) is a mapped type over these keys, so a missing rule does not compile.
 *
 * "float" means f32, f16 or bf16 (all operands alike); arithmetic operands have one dtype; elementwise operands broadcast as in NumPy.
 */
export interface PrimAttrs {
  // leaves
  /** () -> declared; a compiled function's argument */
  input: { readonly name: string };
  /** () -> value */
  constant: { readonly value: NDArray };
  /** () -> [shape] of i32 or f32: 0, 1, 2, ... along `axis` */
  iota: { readonly shape: Shape; readonly axis: number; readonly dtype: 'i32' | 'f32' };
  /** () -> scalar: the value of a symbolic dimension */
  dimValue: { readonly dim: Dim; readonly dtype: 'i32' | 'f32' };

  // elementwise, one operand
  neg: None;
  exp: None;
  log: None;
  sqrt: None;
  recip: None;
  abs: None;
  /** -1, 0 or 1 */
  sign: None;
  floor: None;
  ceil: None;
  /** half to even */
  round: None;
  sin: None;
  cos: None;
  tanh: None;
  sigmoid: None;
  erf: None;
  /** bool -> bool */
  not: None;
  /** any -> dtype; float to integer truncates, to bool is x != 0 */
  cast: { readonly dtype: DType };
  /** identity whose gradient is zero */
  stopGradient: None;

  // elementwise, two operands
  add: None;
  sub: None;
  mul: None;
  /** integers truncate towards zero */
  div: None;
  pow: None;
  max: None;
  min: None;
  /** remainder with the sign of the divisor (floor), as Python's % */
  mod: None;
  /** bool, bool -> bool */
  and: None;
  or: None;
  xor: None;
  /** -> bool */
  eq: None;
  lt: None;
  le: None;
  /** (condition bool, a, b) -> a where true, else b; all broadcast */
  where: None;

  // reductions
  sum: AxesAttrs;
  reduceMax: AxesAttrs;
  reduceMin: AxesAttrs;
  reduceProd: AxesAttrs;
  /** -> i32; the first of equal maxima */
  argmax: AxisAttrs & { readonly keepDims: boolean };
  /** running sum along axis; `exclusive` leaves the own element out, `reverse` runs from the end */
  cumsum: AxisAttrs & { readonly exclusive: boolean; readonly reverse: boolean };
  /** x -> (values, indices i32), k along axis, sorted; ties by the lower index */
  topK: AxisAttrs & { readonly k: number; readonly largest: boolean };

  // movement
  reshape: { readonly shape: Shape };
  transpose: { readonly perm: readonly number[] };
  /** NumPy broadcasting to `shape` */
  broadcastTo: { readonly shape: Shape };
  /** per axis [start, limit) by step; a negative step walks from start down to limit (exclusive; -1 = past the front) */
  slice: { readonly starts: readonly Dim[]; readonly limits: readonly Dim[]; readonly steps: readonly number[] };
  pad: { readonly low: readonly number[]; readonly high: readonly number[]; readonly value: number };
  concat: AxisAttrs;
  /** (x, indices integer of any shape) -> x.shape[:axis] + indices.shape + x.shape[axis+1:] (NumPy take) */
  gather: AxisAttrs;
  /** adjoint of gather: (indices, updates) -> zeros of which axis has size `size`, updates added at the indices */
  scatterAdd: AxisAttrs & { readonly size: Dim };
  /** (x, indices integer of x's rank) -> out[i][j] = x[i][indices[i][j]] for axis 1 (NumPy take_along_axis; other axes equal) */
  takeAlong: AxisAttrs;
  /** (x, indices, updates) -> copy of x with updates put ('set') or added ('add') at the indices along axis */
  scatterAlong: AxisAttrs & { readonly mode: 'set' | 'add' };

  // contractions
  /** (a [..., M, K], b [..., K, N]) -> alpha * a b, leading axes broadcast; transA/transB: the operand is stored transposed. Ranks >= 2 */
  matmul: { readonly transA: boolean; readonly transB: boolean; readonly alpha: number };
  /** (x [B, C, T], w [O, C/groups, K]) -> [B, O, padLow + T + padHigh - dilation*(K-1)]: cross-correlation */
  conv1d: { readonly groups: number; readonly padLow: number; readonly padHigh: number; readonly dilation: number };
  /** (x [..., K] f32, packed u8 [N, K/blockSize, blockSize*bits/8], scales f32 [N*K/blockSize], zeroPoints? u8) -> [..., N]; see quant.ts */
  quantMatmul: { readonly bits: 4 | 8; readonly blockSize: number; readonly outFeatures: number };

  // randomness: (key u32 [2]) -> u32 [shape], Threefry-2x32 of the element counter
  threefry: { readonly shape: Shape };

  // structure
  /**
   * (consts..., carries..., xs [T, ...]...) -> (final carries..., ys [T, ...]...): body is applied to
   * (consts, carries, xs[t]) and returns (carries, ys[t]) for t = 0..T-1 (T-1..0 with reverse; ys keep their place)
   */
  scan: { readonly body: Graph; readonly numConsts: number; readonly numCarries: number; readonly reverse: boolean };
  /**
   * (args...) -> outputs of body; its backward recomputes the body; compiled as a session of its own, shared by equal bodies. Calls that are
   * `concurrent` and do not depend on each other run at the same time, each on its share of the threads.
   */
  call: { readonly body: Graph; readonly label: string; readonly concurrent: boolean };
  /** (args..., outs..., saved...) -> outs, with `backward` as the gradient of args */
  customVjp: { readonly numArgs: number; readonly numOuts: number; readonly backward: CustomBackward };

  // composites: own VJP, expanded late and per execution provider
  softmax: AxisAttrs;
  logSoftmax: AxisAttrs;
  /** (x [..., D], weight [D]) -> (y, inverse root mean square [..., 1]): y = x * inv * weight, inv = 1/sqrt(mean(x^2) + eps) */
  rmsNorm: { readonly eps: number };
  /** (x [..., D], weight [D], bias [D]) -> (y, mean [..., 1], inverse standard deviation [..., 1]) */
  layerNorm: { readonly eps: number };
  /** x * sigmoid(x) */
  silu: None;
  /** x * Phi(x); 'tanh' is the usual approximation */
  gelu: { readonly approximate: 'none' | 'tanh' };
  /** (x [..., T, d], cos [.., T, d/2], sin alike, broadcast to x's leading axes): rotate pairs (i, i+d/2), or (2i, 2i+1) when interleaved */
  rotary: { readonly interleaved: boolean };
  /**
   * (q [B, H, Tq, d], k [B, Hkv, Tk, d], v [B, Hkv, Tk, dv], bias? broadcast to [B, H, Tq, Tk]) -> [B, H, Tq, dv].
   * scores = scale q k^T (softcap * tanh(scores/softcap) when softcap > 0) + bias; with causal, query i sees keys up to i + Tk - Tq;
   * with window > 0 only the last `window` of those. H is a multiple of Hkv.
   */
  attention: AttentionAttrs;
  /** (q, k, v, out, gOut, bias?) -> (dq, dk, dv, dbias?): adjoint of attention */
  attentionGrad: AttentionAttrs;
  /**
   * One-token-or-more attention over a preallocated cache: (q [B, S, H*d], k [B, S, Hkv*d], v alike, pastK [B, Hkv, C, d], pastV alike,
   * length i32 [B]: tokens already in the cache, cos? and sin? [P, d/2]) -> (out [B, S, H*d], pastK and pastV with the S new rows written at
   * `length`). With cos and sin, queries and new keys are first rotated (pairs i, i+d/2) by the rows of their positions length..length+S-1.
   */
  cachedAttention: { readonly heads: number; readonly kvHeads: number; readonly scale: number };
  /** (logits [M, V], targets integer [M]) -> -log softmax(logits)[target] [M]; a target < 0 gives 0 */
  crossEntropy: None;
  /** (x [M, D], w [V, D], targets integer [M]) -> crossEntropy(x w^T, targets) [M] without logits in the backward's result */
  linearCrossEntropy: None;
  /** (x, w, targets, g [M]) -> (dx, dw) */
  linearCrossEntropyGrad: None;
}

export interface AttentionAttrs {
  readonly scale: number;
  readonly causal: boolean;
  /** 0 = unlimited */
  readonly window: number;
  /** 0 = off */
  readonly softcap: number;
}

export type PrimName = keyof PrimAttrs;

/** Elementwise primitives of one operand that keep the dtype. */
export const unaryNames = [
  'neg',
  'exp',
  'log',
  'sqrt',
  'recip',
  'abs',
  'sign',
  'floor',
  'ceil',
  'round',
  'sin',
  'cos',
  'tanh',
  'sigmoid',
  'erf',
  'not',
] as const;
/** Elementwise primitives of two operands that keep the dtype. */
export const arithmeticNames = ['add', 'sub', 'mul', 'div', 'pow', 'max', 'min', 'mod', 'and', 'or', 'xor'] as const;
/** Elementwise primitives of two operands with truth values as results. */
export const comparisonNames = ['eq', 'lt', 'le'] as const;
/** Every elementwise primitive. */
export type ElementwiseName =
  | (typeof unaryNames)[number]
  | (typeof arithmeticNames)[number]
  | (typeof comparisonNames)[number]
  | 'cast'
  | 'stopGradient'
  | 'where';

/** The kind of machine code a graph is lowered for. `generic` is the plainest form (reference interpreter, exported files). */
export type Target = 'cpu' | 'wasm' | 'webgpu' | 'cuda' | 'generic';
