import type { ParamSpec } from '../contracts/index.js';
import type { Tensor } from '../tensor/graph.js';
import { add } from '../tensor/ops/elementwise.js';
import { layerNorm, rmsNorm } from '../tensor/ops/norm.js';
import { paramSpec } from './param.js';

export interface NormConfig {
  /** root mean square without a mean, or mean and variance with a bias */
  readonly kind: 'rms' | 'layer';
  readonly eps: number;
  /** added to the stored gain: 1 for Gemma, which stores the gain minus one */
  readonly offset: number;
}

export interface NormWeights<T> {
  readonly weight: T;
  readonly bias?: T;
}

/** Parameters of a norm over `size` features; the gain starts at 1. */
export const normSpec = (config: NormConfig, size: number): NormWeights<ParamSpec> => ({
  weight: paramSpec('vector', [size], { kind: config.offset === 1 ? 'zeros' : 'ones' }),
  ...(config.kind === 'layer' ? { bias: paramSpec('vector', [size], { kind: 'zeros' }) } : {}),
});

/** Normalises the last axis. */
export function norm(config: NormConfig, { weight, bias }: NormWeights<Tensor>, x: Tensor): Tensor {
  const gain = config.offset === 0 ? weight : add(weight, config.offset);
  return config.kind === 'rms' ? rmsNorm(x, gain, { eps: config.eps }) : layerNorm(x, gain, bias, { eps: config.eps });
}
