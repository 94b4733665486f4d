import type { Init, ParamSpec } from '../contracts/index.js';
import { type AttentionWeights, selfAttention } from '../nn/attention.js';
import { type FeedForwardWeights, gatedFeedForward } from '../nn/feedForward.js';
import { countParams, initParams } from '../nn/init.js';
import type { NDArray } from '../tensor/array.js';
import { VitroError } from '../tensor/errors.js';
import type { Tensor } from '../tensor/graph.js';
import { type RopeTables, ropeTables } from '../tensor/ops/attention.js';
import { checkpoint } from '../tensor/ops/control.js';
import { add } from '../tensor/ops/elementwise.js';
import { embedding } from '../tensor/ops/indexing.js';
import { linearCrossEntropy } from '../tensor/ops/loss.js';
import { rmsNorm } from '../tensor/ops/norm.js';
import { randomKey } from '../tensor/random/threefry.js';

/** A pre-norm decoder with rotary positions, RMS norm, a gated feed-forward and a tied head (the shape of Llama). Names follow config.json of the field. */
export interface DecoderConfig {
  readonly vocab_size: number;
  readonly hidden_size: number;
  readonly num_hidden_layers: number;
  readonly num_attention_heads: number;
  readonly intermediate_size: number;
  /** context length; a multiple of 128 runs fastest */
  readonly max_position_embeddings: number;
  /** default 1e-5 */
  readonly rms_norm_eps?: number;
  /** default 10000 */
  readonly rope_theta?: number;
}

export interface DecoderLayer<T> extends AttentionWeights<T>, FeedForwardWeights<T> {
  readonly norm1: T;
  readonly norm2: T;
}

/** Parameters as a plain tree: of specs, of host arrays or of tensors. Matrices are stored [in, out]. */
export interface Decoder<T> {
  /** [V, D], also the head */
  readonly embed: T;
  readonly layers: readonly DecoderLayer<T>[];
  readonly norm: T;
}

/** Shapes, roles and starting values of all parameters. */
export function decoderSpecs(config: DecoderConfig): Decoder<ParamSpec> {
  const { vocab_size: V, hidden_size: D, num_hidden_layers: L, num_attention_heads: H, intermediate_size: F } = config;
  if (D % H !== 0 || (D / H) % 2 !== 0)
    throw new VitroError(`decoder: hidden_size ${D} must split into num_attention_heads ${H} heads of an even size`);
  const param = (role: ParamSpec['role'], shape: readonly number[], init: Init, fused?: number): ParamSpec => ({
    isTreeLeaf: true,
    role,
    shape,
    init,
    fused,
  });
  const gain = (): ParamSpec => param('vector', [D], { kind: 'ones' });
  // variance 1/(3 fan_in), as of PyTorch's linear layers; what writes to the residual stream is smaller by sqrt(2L) (GPT-2)
  const matrix = (fanIn: number, fanOut: number, fused?: number, residual = 1): ParamSpec =>
    param('matrix', [fanIn, fanOut], { kind: 'normal', std: Math.sqrt(1 / (3 * fanIn)) * residual }, fused);
  const toResidual = 1 / Math.sqrt(2 * L);
  return {
    embed: param('embedding', [V, D], { kind: 'normal', std: 0.02 }),
    layers: Array.from({ length: L }, () => ({
      norm1: gain(),
      qkv: matrix(D, 3 * D, 3),
      out: matrix(D, D, 1, toResidual),
      norm2: gain(),
      gateUp: matrix(D, 2 * F, 2),
      down: matrix(F, D, 1, toResidual),
    })),
    norm: gain(),
  };
}

/** Starting parameters of a seed, on the host. */
export const initDecoder = (config: DecoderConfig, seed: number): Decoder<NDArray> => initParams(decoderSpecs(config), randomKey(seed));

export const decoderParameterCount = (config: DecoderConfig): number => countParams(decoderSpecs(config));

/**
 * Floating-point operations of training per token: 6 N for the matrix products of forward and backward (the tied table counts once, as head)
 * plus 12 L T D for attention scores and mixing, counted full, not causal (PaLM, arXiv:2204.02311, appendix B). Forward alone is a third.
 */
export const decoderTrainFlopsPerToken = (config: DecoderConfig): number =>
  6 * decoderParameterCount(config) + 12 * config.num_hidden_layers * config.max_position_embeddings * config.hidden_size;

/** One block: x + attention(norm(x)), then x + feedForward(norm(x)); x [B, T, D]. */
export function decoderLayer(config: DecoderConfig, layer: DecoderLayer<Tensor>, x: Tensor, rope: RopeTables): Tensor {
  const options = { eps: config.rms_norm_eps ?? 1e-5 };
  const h = add(x, selfAttention(layer, rmsNorm(x, layer.norm1, options), config.num_attention_heads, rope));
  return add(h, gatedFeedForward(layer, rmsNorm(h, layer.norm2, options)));
}

export interface DecoderOptions {
  /** compute each layer again in the backward pass instead of keeping its values; the layers then share one compiled function */
  readonly checkpointLayers?: boolean;
}

/** Last hidden states [B, T, D] (after the final norm) of token ids [B, T], T at most the context. */
export function decoderHidden(config: DecoderConfig, params: Decoder<Tensor>, ids: Tensor, options: DecoderOptions = {}): Tensor {
  const time = ids.shape[1];
  if (ids.rank !== 2 || typeof time !== 'number' || time > config.max_position_embeddings)
    throw new VitroError(
      `decoder: ids must be [B, T] with a fixed T of at most ${config.max_position_embeddings}, got [${ids.shape.join(', ')}]`,
    );
  const rope = ropeTables(time, config.hidden_size / config.num_attention_heads, config.rope_theta ?? 10000);
  const plain = (h: Tensor, layer: DecoderLayer<Tensor>): Tensor => decoderLayer(config, layer, h, rope);
  const apply = options.checkpointLayers ? checkpoint(plain, { label: 'layer' }) : plain;
  const x = params.layers.reduce((h, layer) => apply(h, layer), embedding(ids, params.embed));
  return rmsNorm(x, params.norm, { eps: config.rms_norm_eps ?? 1e-5 });
}

/** Mean cross-entropy in nats of predicting `targets` [B, T] from `inputs` [B, T]. */
export const decoderLoss = (
  config: DecoderConfig,
  params: Decoder<Tensor>,
  inputs: Tensor,
  targets: Tensor,
  options: DecoderOptions = {},
): Tensor => linearCrossEntropy(decoderHidden(config, params, inputs, options), params.embed, targets);
