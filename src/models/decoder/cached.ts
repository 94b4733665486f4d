import type { AttentionView, CacheShape } from '../../nn/attention/index.js';
import { mergeHeads } from '../../nn/attention/index.js';
import { norm } from '../../nn/norm.js';
import type { AppliedPosition, Positions } from '../../nn/position/index.js';
import { type NDArray, zeros } from '../../tensor/array.js';
import type { Dim } from '../../tensor/dim.js';
import type { Tensor } from '../../tensor/graph.js';
import { cachedAttention, type RopeTables } from '../../tensor/ops/attention.js';
import { iota } from '../../tensor/ops/create.js';
import { add, and, cast, eq, le, lt, sub, where } from '../../tensor/ops/elementwise.js';
import { matmul } from '../../tensor/ops/matmul.js';
import { reshape, transpose, unsqueeze } from '../../tensor/ops/movement.js';
import { dimOf } from '../../tensor/ops/operand.js';
import { site } from '../../tensor/site.js';
import type { DecoderConfig } from './config.js';
import { type AttendLayer, applyPositions, decoderBlock, embedTokens, positionOf } from './forward.js';
import { type DecoderParts, decoderParts } from './parts.js';
import { perLayerInputs } from './perLayer.js';
import type { Decoder, DecoderLayer } from './specs.js';

/** Keys [B, Hk, C, dk] and values [B, Hv, C, dv] of every layer, C being the capacity in tokens. */
export type KvCache<T> = readonly { readonly k: T; readonly v: T }[];

/** What a cache keeps for each token and layer. */
export function cacheShape(config: DecoderConfig): CacheShape {
  const { attention, attentionContext } = decoderParts(config);
  return attention.cacheShape(attentionContext);
}

/** An empty cache for `batch` sequences of up to `capacity` tokens. */
export function emptyCache(config: DecoderConfig, batch: number, capacity: number): KvCache<NDArray> {
  const { keys, values } = cacheShape(config);
  return Array.from({ length: config.num_hidden_layers }, () => ({
    k: zeros([batch, keys[0], capacity, keys[1]]),
    v: zeros([batch, values[0], capacity, values[1]]),
  }));
}

/** Bytes that a cache holds for one token of one sequence, in float32. */
export function cacheBytesPerToken(config: DecoderConfig): number {
  const { keys, values } = cacheShape(config);
  return 4 * config.num_hidden_layers * (keys[0] * keys[1] + values[0] * values[1]);
}

/** Where the S new tokens of a call stand, and which rows of the cache they may see. */
export interface CacheView {
  /** i32 [B, S] */
  readonly positions: Tensor;
  /** bool [B, 1, S, C] for a window of so many keys (0 = all) */
  mask(window: number): Tensor;
  /** the cache with the new rows written */
  write(cache: Tensor, rows: Tensor): Tensor;
}

/** The view of S new tokens after `lengths` i32 [B] others. */
export function cacheView(lengths: Tensor, steps: Dim, capacity: Dim): CacheView {
  const positions = add(unsqueeze(lengths, 1), iota([1, steps], 1));
  const slots_11C = iota([1, 1, capacity], 2);
  const at_BS1 = unsqueeze(positions, 2);
  // one-hot products copy a row exactly: every other term is 0
  const chosen_B1CS = unsqueeze(transpose(cast(eq(at_BS1, slots_11C), 'f32'), [0, 2, 1]), 1);
  const end = unsqueeze(add(lengths, steps as number), 1);
  const row_1C = iota([1, capacity], 1);
  const written_B1C1 = unsqueeze(unsqueeze(and(le(unsqueeze(lengths, 1), row_1C), lt(row_1C, end)), 1), 3);
  return {
    positions,
    mask: (window) => {
      const past = le(slots_11C, at_BS1);
      return unsqueeze(window > 0 ? and(past, lt(sub(at_BS1, window), slots_11C)) : past, 1);
    },
    write: (cache, rows) => where(written_B1C1, matmul(chosen_B1CS, rows), cache),
  };
}

/** Keys [B, Hk, C, dk] and values [B, Hv, C, dv] of one layer. */
export type CacheLayer = KvCache<Tensor>[number];

/** Attention of one layer over its cache with the new rows written into it, for any method: the layer's result, the rows, and the cache with them. */
export function attendWritten(
  { attention, attentionContext: context }: DecoderParts,
  layer: DecoderLayer<Tensor>,
  x: Tensor,
  index: number,
  {
    past,
    view,
    window,
    own,
  }: { readonly past: CacheLayer; readonly view: CacheView; readonly window: number; readonly own: AppliedPosition },
): { readonly out: Tensor; readonly rows: CacheLayer; readonly cache: CacheLayer } {
  const name = `layers.${index}.attn`;
  const heads = attention.project(layer.self_attn, x, context);
  const turn = own.rotate ?? ((h: Tensor) => h);
  const late = attention.makesKeysLate?.(context) ?? false;
  const rows = { k: site(`${name}.k`, late ? heads.k : turn(heads.k)), v: site(`${name}.v`, heads.v) };
  const cache = { k: view.write(past.k, rows.k), v: view.write(past.v, rows.v) };
  const seen: AttentionView = {
    causal: false,
    window: 0,
    mask: view.mask(window),
    scale: context.config.scale,
    softcap: context.config.softcap,
    name,
    ...(own.bias ? { bias: own.bias } : {}),
    ...(late && own.rotateKeys ? { rotateKeys: own.rotateKeys } : {}),
  };
  const mixed = attention.attend(layer.self_attn, { q: site(`${name}.q`, turn(heads.q)), ...cache }, seen, context);
  return { out: attention.output(layer.self_attn, site(`${name}.mixed`, mixed), x, context), rows, cache };
}

/** Keys before the last `window` ones are not seen in layer `index`; 0 = all are. */
export const windowOf = ({ config }: DecoderParts, index: number): number =>
  config.layer_types[index] === 'sliding_attention' ? (config.sliding_window ?? 0) : 0;

/** Whether attention of layer `index` with these positions is what the engine's fused cached attention computes. */
export const fuses = (parts: DecoderParts, index: number, own: AppliedPosition): boolean =>
  parts.attention.isPlainSoftmax && windowOf(parts, index) === 0 && parts.attentionContext.config.softcap === 0 && !own.bias;

/** Attention of one layer by the engine's fused kernel, which writes the new rows into the cache itself; `turn` stands for rotations without tables. */
export function attendFused(
  { attention, attentionContext: context }: DecoderParts,
  layer: DecoderLayer<Tensor>,
  x: Tensor,
  {
    past,
    lengths,
    rope,
    turn,
  }: { past: CacheLayer; lengths: Tensor; rope?: RopeTables | undefined; turn?: ((h: Tensor) => Tensor) | undefined },
): { readonly out: Tensor; readonly cache: CacheLayer } {
  const { q, k, v } = attention.project(layer.self_attn, x, context);
  const { num_attention_heads: heads, num_key_value_heads: kvHeads, head_dim, scale } = context.config;
  const turned = (h: Tensor): Tensor => mergeHeads(rope || !turn ? h : turn(h));
  const result = cachedAttention(
    { q: turned(q), k: turned(k), v: mergeHeads(v), pastK: past.k, pastV: past.v, length: lengths, ...(rope ? { rope } : {}) },
    { heads, kvHeads, scale },
  );
  const mixed = transpose(reshape(result.out, [dimOf(x, 0), dimOf(x, 1), heads, head_dim]), [0, 2, 1, 3]);
  return { out: attention.output(layer.self_attn, mixed, x, context), cache: { k: result.pastK, v: result.pastV } };
}

/** Attention over a cache, for any method; returns the layer function and collects the caches written. */
function attendCached(
  parts: DecoderParts,
  cache: KvCache<Tensor>,
  lengths: Tensor,
  view: CacheView,
  applied: ReadonlyMap<string, AppliedPosition>,
  written: { k: Tensor; v: Tensor }[],
): AttendLayer {
  const { config, position } = parts;
  const capacity = dimOf((cache[0] as { k: Tensor }).k, 2);
  const tables = new Map<string, RopeTables | undefined>();
  const tablesOf = (type: 'full_attention' | 'sliding_attention'): RopeTables | undefined => {
    if (!tables.has(type) && typeof capacity === 'number')
      tables.set(type, position.tables?.(parts.positionConfig, parts.positionSettings[type], capacity));
    return tables.get(type);
  };
  return (layer, x, index) => {
    const own = positionOf(parts, applied, index);
    const [past, window] = [cache[index] as CacheLayer, windowOf(parts, index)];
    const rope = config.position_layers[index] ? tablesOf(config.layer_types[index] ?? 'full_attention') : undefined;
    const { out, cache: next } = fuses(parts, index, own)
      ? attendFused(parts, layer, x, { past, lengths, rope, turn: own.rotate })
      : attendWritten(parts, layer, x, index, { past, view, window, own });
    written[index] = next;
    return out;
  };
}

/**
 * Last hidden states [B, S, D] of S new tokens per sequence, ids i32 [B, S], after the `lengths` i32 [B] tokens that the cache holds, and the cache
 * with the new tokens. Rows beyond a sequence's length may hold anything: they are not seen. The caller keeps length + S within the capacity.
 */
export function decoderStep(
  config: DecoderConfig,
  params: Decoder<Tensor>,
  ids: Tensor,
  cache: KvCache<Tensor>,
  lengths: Tensor,
): { hidden: Tensor; cache: KvCache<Tensor> } {
  const parts = decoderParts(config);
  const capacity = dimOf((cache[0] as { k: Tensor }).k, 2) as number;
  const view = cacheView(lengths, dimOf(ids, 1), capacity);
  const queries: Positions = { ids: view.positions, limit: capacity };
  const applied = applyPositions(parts, params, queries, { count: capacity });
  const written: { k: Tensor; v: Tensor }[] = [];
  const attend = attendCached(parts, cache, lengths, view, applied, written);
  const first = embedTokens(parts, params, ids, applied.values());
  const inputs = perLayerInputs(parts, params, ids, first);
  const x = params.layers.reduce((h, layer, index) => decoderBlock(parts, layer, h, index, attend, inputs), first);
  return { hidden: norm(parts.norm, params.norm, x), cache: written };
}
