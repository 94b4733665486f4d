import { norm } from '../../nn/norm.js';
import { type Dim, dimAdd, dimMul } from '../../tensor/dim.js';
import { getOrMake } from '../../tensor/getOrMake.js';
import type { Tensor } from '../../tensor/graph.js';
import { softmax, tanh } from '../../tensor/ops/activation.js';
import type { RopeTables } from '../../tensor/ops/attention.js';
import { dimValue, iota } from '../../tensor/ops/create.js';
import { add, and, div, eq, lt, mul, or, sub, where } from '../../tensor/ops/elementwise.js';
import { matmul } from '../../tensor/ops/matmul.js';
import { broadcastTo, reshape, unsqueeze } from '../../tensor/ops/movement.js';
import { dimOf } from '../../tensor/ops/operand.js';
import { sum } from '../../tensor/ops/reduce.js';
import { concat, slice } from '../../tensor/ops/slicing.js';
import { isWatched, site } from '../../tensor/site.js';
import { attendFused, attendWritten, type CacheLayer, cacheView, fuses, type KvCache, windowOf } from './cached.js';
import type { DecoderConfig } from './config.js';
import { type AttendLayer, applyPositions, decoderBlock, embedTokens, positionOf } from './forward.js';
import { type DecoderParts, decoderParts } from './parts.js';
import { perLayerInputs } from './perLayer.js';
import type { Decoder, DecoderLayer } from './specs.js';

/** Whether somebody waits for a value inside of layer `index`'s attention, which the fused kernel does not show. */
const isLookedInto = (index: number): boolean =>
  ['q', 'k', 'v', 'scores', 'weights', 'mixed'].some((part) => isWatched(`layers.${index}.attn.${part}`));

/** Added to the scores of places that a query does not see. */
const unseen = -1e30;

/** 0 for the places of the cache that each row sees and for the new token behind them, `unseen` for the others: f32 [B, 1, 1, C + 1]. */
function placeBias(lengths: Tensor, capacity: Dim, window: number): Tensor {
  const place = iota([1, dimAdd(capacity, 1)], 1);
  const end_B1 = unsqueeze(lengths, 1);
  const filled = lt(place, end_B1);
  // the new token itself is one of the window
  const near = window > 0 ? and(filled, lt(sub(end_B1, window), place)) : filled;
  return unsqueeze(where(or(near, eq(place, dimValue(capacity))), 0, unseen), [1, 2]);
}

/**
 * Turns heads [B, H, 1, d] of the new tokens as the position method of layer `index` does. Rows and heads stand in one axis meanwhile, as a sequence
 * whose places are the rows' lengths: rotations of sequences have a kernel of their own.
 */
function turnHeads(parts: DecoderParts, params: Decoder<Tensor>, lengths: Tensor, limit: number): (heads: Tensor, index: number) => Tensor {
  const batch = dimOf(lengths, 0);
  const byHeads = new Map<number, ReturnType<typeof applyPositions>>();
  const appliedTo = (count: number): ReturnType<typeof applyPositions> =>
    getOrMake(byHeads, count, () => {
      const ids = reshape(broadcastTo(unsqueeze(lengths, 1), [batch, count]), [1, dimMul(batch, count)]);
      const positions = { ids, limit };
      return applyPositions(parts, params, positions, positions);
    });
  return (heads, index) => {
    const [count, size] = [dimOf(heads, 1) as number, dimOf(heads, 3)];
    const { rotate } = positionOf(parts, appliedTo(count), index);
    return rotate ? reshape(rotate(reshape(heads, [1, 1, dimMul(batch, count), size])), heads.shape) : heads;
  };
}

/**
 * Softmax attention of one new token over the cache and itself. The cache is read where it lies, by products of a single row with a matrix; nothing of
 * its size is copied, as writing the new row first would.
 */
function attendPast(
  { attention, attentionContext: context }: DecoderParts,
  layer: DecoderLayer<Tensor>,
  x: Tensor,
  index: number,
  { past, bias, turn }: { readonly past: CacheLayer; readonly bias: Tensor; readonly turn: (x: Tensor) => Tensor },
): { readonly out: Tensor; readonly rows: CacheLayer } {
  const name = `layers.${index}.attn`;
  const { num_key_value_heads: kvHeads, num_attention_heads: heads, scale, softcap } = context.config;
  const projected = attention.project(layer.self_attn, x, context);
  const [q, k, v] = [site(`${name}.q`, turn(projected.q)), site(`${name}.k`, turn(projected.k)), site(`${name}.v`, projected.v)];
  const [batch, capacity] = [dimOf(q, 0), dimOf(past.k, 2)];
  // query heads that share keys stand together, [B, Hk, G, d]
  const grouped = reshape(mul(q, scale), [batch, kvHeads, heads / kvHeads, dimOf(q, 3)]);
  const toItself = sum(mul(grouped, k), { axis: -1, keepDims: true });
  const raw = concat([matmul(grouped, past.k, { transB: true }), toItself], -1);
  const capped = softcap > 0 ? mul(tanh(div(raw, softcap)), softcap) : raw;
  const weights = site(`${name}.weights`, softmax(site(`${name}.scores`, add(capped, bias))));
  const [overPast, overSelf] = [slice(weights, { [-1]: [0, capacity] }), slice(weights, { [-1]: [capacity] })];
  const read = add(matmul(overPast, past.v), mul(overSelf, v));
  const mixed = site(`${name}.mixed`, reshape(read, [batch, heads, 1, dimOf(v, 3)]));
  return { out: attention.output(layer.self_attn, mixed, x, context), rows: { k, v } };
}

/** What a step of one token for each of B sequences makes. */
export interface TokenResult<T> {
  /** last hidden states [B, D] */
  readonly hidden: T;
  /** the cache with the new rows written, where the kernels write them into the memory they read; else empty */
  readonly cache: KvCache<T>;
  /** else the new rows [B, Hk, 1, dk], [B, Hv, 1, dv] of each layer, which the caller writes into the cache at place `length`: it is only read here */
  readonly rows: KvCache<T>;
}

export interface TokenOptions {
  /** the longest sequence that is planned: positions stay below it */
  readonly limit: number;
  /** whether results may be written over arguments, so that writing a row into the cache costs no copy of it; default false */
  readonly inPlace?: boolean;
}

/**
 * One new token per sequence, ids i32 [B], after the `lengths` i32 [B] tokens that the cache holds. The capacity may be symbolic; places from `length`
 * on may hold any finite values.
 */
export function decoderToken(
  config: DecoderConfig,
  params: Decoder<Tensor>,
  ids: Tensor,
  cache: KvCache<Tensor>,
  lengths: Tensor,
  { limit, inPlace = false }: TokenOptions,
): TokenResult<Tensor> {
  const parts = decoderParts(config);
  const { attention, config: full, position } = parts;
  const [batch, capacity] = [dimOf(ids, 0), dimOf((cache[0] as CacheLayer).k, 2)];
  const ids_B1 = unsqueeze(ids, 1);
  const queries = { ids: unsqueeze(lengths, 1), limit };
  const applied = applyPositions(parts, params, queries, { ids: iota([1, capacity], 1), limit });
  const view = cacheView(lengths, 1, capacity);
  const turns = turnHeads(parts, params, lengths, limit);
  const biases = new Map<number, Tensor>();
  const biasOf = (window: number): Tensor => getOrMake(biases, window, () => placeBias(lengths, capacity, window));
  const ropes = new Map<string, RopeTables | undefined>();
  const ropeOf = (index: number): RopeTables | undefined => {
    const type = full.layer_types[index] ?? 'full_attention';
    const tables = getOrMake(ropes, type, () => position.tables?.(parts.positionConfig, parts.positionSettings[type], limit));
    return full.position_layers[index] ? tables : undefined;
  };
  const written = inPlace && params.layers.every((_, i) => fuses(parts, i, positionOf(parts, applied, i)) && !isLookedInto(i));
  const layers: CacheLayer[] = [];
  const attend: AttendLayer = (layer, x, index) => {
    const [own, past, window] = [positionOf(parts, applied, index), cache[index] as CacheLayer, windowOf(parts, index)];
    const turn = (h: Tensor): Tensor => turns(h, index);
    if (written) {
      const fused = attendFused(parts, layer, x, { past, lengths, rope: ropeOf(index), turn });
      layers[index] = fused.cache;
      return fused.out;
    }
    const attended =
      attention.isPlainSoftmax && !own.bias
        ? attendPast(parts, layer, x, index, { past, bias: biasOf(window), turn })
        : attendWritten(parts, layer, x, index, { past, view, window, own });
    layers[index] = attended.rows;
    return attended.out;
  };
  const first = embedTokens(parts, params, ids_B1, applied.values());
  const inputs = perLayerInputs(parts, params, ids_B1, first);
  const x = params.layers.reduce((h, layer, index) => decoderBlock(parts, layer, h, index, attend, inputs), first);
  const hidden = reshape(norm(parts.norm, params.norm, x), [batch, full.hidden_size]);
  return written ? { hidden, cache: layers, rows: [] } : { hidden, cache: [], rows: layers };
}
