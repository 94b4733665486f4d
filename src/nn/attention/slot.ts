import type { Method, ParamSpec, Settings } from '../../contracts/index.js';
import type { Tensor } from '../../tensor/graph.js';
import type { NormConfig } from '../norm.js';
import type { ParamTree } from '../param.js';

/**
 * The slot "attention": how a layer makes queries, keys and values of its input, what a query reads, and how the result is written back.
 * Positions, masks, the cache and the residual stream are the decoder's.
 *
 * Legend: B batch, T tokens (S new tokens, C capacity of a cache), D hidden size, H query heads, Hk and Hv key and value heads, d head size.
 */

/** The slot, for the generated index. */
export const slot = { id: 'attention', record: 'attentions', summary: 'what a token reads from the tokens before it' } as const;

/** Sizes and details of one layer's attention that checkpoints fix; names follow config.json. */
export interface AttentionConfig {
  readonly hidden_size: number;
  readonly num_attention_heads: number;
  readonly num_key_value_heads: number;
  readonly head_dim: number;
  /** biases of the query, key and value projections */
  readonly attention_bias: boolean;
  /** bias of the output projection */
  readonly attention_out_bias: boolean;
  /** norms of queries and keys: per head over d, or over all heads at once */
  readonly qk_norm: 'none' | 'head' | 'all';
  readonly norm: NormConfig;
  /** factor of q k^T; default of the field: d^-1/2 */
  readonly scale: number;
  /** scores become softcap tanh(scores / softcap); 0 = off */
  readonly softcap: number;
  /** factor of the initial standard deviation of what writes to the residual stream */
  readonly residual_gain: number;
}

/** Queries [B, H, T, dq], keys [B, Hk, T, dk] and values [B, Hv, T, dv] of the tokens of one call. */
export interface Heads {
  readonly q: Tensor;
  readonly k: Tensor;
  readonly v: Tensor;
}

/** What a query may see, and how scores are changed on the way. */
export interface AttentionView {
  /** query i sees keys up to i (aligned at the ends) */
  readonly causal: boolean;
  /** only the last `window` keys; 0 = all */
  readonly window: number;
  /** bool, true where a query may look; broadcasts to [B, H, Tq, Tk] */
  readonly mask?: Tensor;
  /** added to the scores; broadcasts to [B, H, Tq, Tk] */
  readonly bias?: Tensor;
  readonly scale: number;
  readonly softcap: number;
  /** turns keys [B, Hk, Tk, dq] of all Tk positions; set where the method makes keys late and the positions rotate */
  readonly rotateKeys?: (k: Tensor) => Tensor;
  /** dotted name of the layer's attention, for sites, e.g. `layers.3.attn` */
  readonly name: string;
}

/** What a method gets beside its tensors. */
export interface AttentionContext {
  readonly config: AttentionConfig;
  readonly settings: Settings;
}

/** Per-head sizes of what a cache keeps for each token. */
export interface CacheShape {
  /** [Hk, dk] */
  readonly keys: readonly [number, number];
  /** [Hv, dv] */
  readonly values: readonly [number, number];
}

/** A way to attend. Methods are made of each other: `{ ...softmax, project: ... }`. */
export interface AttentionMethod extends Method {
  /** Parameters of one layer; linear maps are called *_proj. */
  specs(context: AttentionContext): ParamTree<ParamSpec>;
  /** x [B, T, D] -> heads before positions are applied. Works token by token, so that a cache may hold the result. */
  project(weights: ParamTree<Tensor>, x: Tensor, context: AttentionContext): Heads;
  /** What each query reads: [B, H', Tq, d']. Keys and values may be longer than queries (a cache). */
  attend(weights: ParamTree<Tensor>, heads: Heads, view: AttentionView, context: AttentionContext): Tensor;
  /** Writes back: the result of `attend` and the layer's input x -> [B, T, D]. */
  output(weights: ParamTree<Tensor>, mixed: Tensor, x: Tensor, context: AttentionContext): Tensor;
  cacheShape(context: AttentionContext): CacheShape;
  /** [H', dq] of the queries, as positions turn them and biases count them. */
  queryShape(context: AttentionContext): readonly [number, number];
  /** Whether `project` gives keys in a form from which `attend` makes the ones that are scored, and turns those with `view.rotateKeys`. */
  makesKeysLate?(context: AttentionContext): boolean;
  /** Whether `attend` is exactly softmax(scale q k^T + bias) v with grouped heads, so that the engine's fused cached attention may do it. */
  readonly isPlainSoftmax: boolean;
  /** Floating-point operations for one token at this context length beyond two for each parameter, forward, counted full, not causal. */
  flopsPerToken(context: AttentionContext, length: number): number;
}
