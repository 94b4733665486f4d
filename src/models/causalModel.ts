import type { ParamSpec } from '../contracts/index.js';
import { type Head, headLogits, headLoss } from '../nn/head.js';
import { initParams } from '../nn/init.js';
import type { ParamTree } from '../nn/param.js';
import type { NDArray } from '../tensor/array.js';
import type { Tensor } from '../tensor/graph.js';
import type { LossOptions } from '../tensor/ops/loss.js';
import { randomKey } from '../tensor/random/threefry.js';
import type { KvCache } from './decoder/cached.js';
import { cacheBytesPerToken, decoderStep, emptyCache } from './decoder/cached.js';
import type { DecoderConfig } from './decoder/config.js';
import { decoderToken, type TokenOptions, type TokenResult } from './decoder/decodeToken.js';
import { type DecoderOptions, type DecoderView, decoderExtraLayer, decoderHead, decoderHidden } from './decoder/forward.js';
import {
  type Decoder,
  decoderSpecs,
  decoderTrainFlopsPerToken,
  type ExtraLayer,
  extraLayerSpecs,
  extraLayerTrainFlopsPerToken,
} from './decoder/specs.js';

/**
 * What training loops and generation need of a language model, whatever its family. Parameters are plain trees: of specs, of host arrays or of
 * tensors. Legend: B batch, T tokens, S new tokens, C capacity of a cache, D hidden size, V vocabulary.
 */
export interface CausalModel {
  readonly vocab_size: number;
  readonly hidden_size: number;
  /** longest context */
  readonly context: number;
  readonly specs: ParamTree<ParamSpec>;
  /** Last hidden states [B, T, D] of token ids i32 [B, T]. */
  hidden(params: ParamTree<Tensor>, ids: Tensor, options?: DecoderOptions): Tensor;
  head(params: ParamTree<Tensor>): Head;
  /** Hidden states [B, S, D] of new tokens i32 [B, S] after the `lengths` i32 [B] that the cache holds; see decoderStep. */
  step(
    params: ParamTree<Tensor>,
    ids: Tensor,
    cache: KvCache<Tensor>,
    lengths: Tensor,
  ): { readonly hidden: Tensor; readonly cache: KvCache<Tensor> };
  /** Hidden states [B, D] of one new token per sequence, and the cache with its keys and values or the rows to write there; see decoderToken. */
  token(params: ParamTree<Tensor>, ids: Tensor, cache: KvCache<Tensor>, lengths: Tensor, options: TokenOptions): TokenResult<Tensor>;
  /** whether keys depend on how long the sequence may become (rotary scaling of the types dynamic and longrope) */
  readonly scalesWithLength: boolean;
  emptyCache(batch: number, capacity: number): KvCache<NDArray>;
  readonly cacheBytesPerToken: number;
  /** floating-point operations of forward and backward for one token at this context; forward alone is a third */
  trainFlopsPerToken(context: number): number;
  /** One more layer of the model's own kind, for heads that are trained beside it. */
  readonly extraLayer: {
    readonly specs: ParamTree<ParamSpec>;
    /** hidden states [B, T, D] -> [B, T, D]; `params` are the model's, `weights` the layer's */
    apply(params: ParamTree<Tensor>, weights: ParamTree<Tensor>, hidden: Tensor, view?: DecoderView): Tensor;
    trainFlopsPerToken(context: number): number;
  };
}

/** The decoder of a config as a language model. */
export function decoderModel(config: DecoderConfig): CausalModel {
  const as = (params: ParamTree<Tensor>): Decoder<Tensor> => params as unknown as Decoder<Tensor>;
  return {
    vocab_size: config.vocab_size,
    hidden_size: config.hidden_size,
    context: config.max_position_embeddings,
    specs: decoderSpecs(config) as unknown as ParamTree<ParamSpec>,
    hidden: (params, ids, options) => decoderHidden(config, as(params), ids, options),
    head: (params) => decoderHead(config, as(params)),
    step: (params, ids, cache, lengths) => decoderStep(config, as(params), ids, cache, lengths),
    token: (params, ids, cache, lengths, options) => decoderToken(config, as(params), ids, cache, lengths, options),
    scalesWithLength: [config.position_settings, config.local_position_settings].some(
      (own) => own?.rope_type === 'dynamic' || own?.rope_type === 'longrope',
    ),
    emptyCache: (batch, capacity) => emptyCache(config, batch, capacity),
    cacheBytesPerToken: cacheBytesPerToken(config),
    trainFlopsPerToken: (context) => decoderTrainFlopsPerToken(config, context),
    extraLayer: {
      specs: extraLayerSpecs(config) as unknown as ParamTree<ParamSpec>,
      apply: (params, weights, hidden, view) =>
        decoderExtraLayer(config, as(params), weights as unknown as ExtraLayer<Tensor>, hidden, view),
      trainFlopsPerToken: (context) => extraLayerTrainFlopsPerToken(config, context),
    },
  };
}

/** Starting parameters of a seed, on the host. */
export const initModel = (model: CausalModel, seed: number): ParamTree<NDArray> =>
  initParams(model.specs, randomKey(seed)) as unknown as ParamTree<NDArray>;

/** Logits [B, T, V] of hidden states. */
export const modelLogits = (model: CausalModel, params: ParamTree<Tensor>, hidden: Tensor): Tensor =>
  headLogits(model.head(params), hidden);

/** Cross-entropy in nats of targets [B, T] under hidden states [B, T, D]; targets below 0 do not count. */
export const modelLoss = (
  model: CausalModel,
  params: ParamTree<Tensor>,
  hidden: Tensor,
  targets: Tensor,
  options: LossOptions = {},
): Tensor => headLoss(model.head(params), hidden, targets, options);
