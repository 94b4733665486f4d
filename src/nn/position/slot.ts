import type { Method, ParamSpec, Settings } from '../../contracts/index.js';
import type { Tensor } from '../../tensor/graph.js';
import type { RopeTables } from '../../tensor/ops/attention.js';
import type { ParamTree } from '../param.js';

/**
 * The slot "position": how a layer learns where its tokens stand. A method may add to the embeddings, rotate queries and keys, or add to the scores.
 *
 * Legend: B batch, T tokens, C capacity of a cache, H heads, d head size, D hidden size.
 */

/** The slot, for the generated index. */
export const slot = { id: 'position', record: 'positions', summary: 'how attention learns where tokens stand' } as const;

export interface PositionConfig {
  readonly hidden_size: number;
  readonly num_attention_heads: number;
  readonly head_dim: number;
  readonly max_position_embeddings: number;
}

/** Where tokens stand: 0, 1, ..., count - 1 in every row, or given as i32 [B, T] below `limit`. */
export type Positions = { readonly count: number } | { readonly ids: Tensor; readonly limit: number };

export interface PositionInput {
  readonly config: PositionConfig;
  readonly settings: Settings;
  /** the method's own parameters (empty where it has none) */
  readonly weights: ParamTree<Tensor>;
  /** of the tokens of this call */
  readonly queries: Positions;
  /** of everything that may be looked at: the same tokens, or the cache */
  readonly keys: Positions;
}

/** What a method does at these positions; absent parts do nothing. */
export interface AppliedPosition {
  /** changes the embeddings x [B, T, D] once, before the first layer */
  readonly embed?: (x: Tensor) => Tensor;
  /** turns queries and keys [B, H, T, d] of the tokens of this call */
  readonly rotate?: (x: Tensor) => Tensor;
  /** turns keys [B, H, Tk, d] of everything that may be looked at; present with `rotate` */
  readonly rotateKeys?: (x: Tensor) => Tensor;
  /** added to the scores, broadcasts to [B, H, Tq, Tk] */
  readonly bias?: Tensor;
}

export interface PositionMethod extends Method {
  specs?(config: PositionConfig, settings: Settings): ParamTree<ParamSpec>;
  apply(input: PositionInput): AppliedPosition;
  /** Tables [limit, d/2] where the method is exactly a rotation of whole heads by them, so that the engine's fused cached attention may do it. */
  tables?(config: PositionConfig, settings: Settings, limit: number): RopeTables | undefined;
}
