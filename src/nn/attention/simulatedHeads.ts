import type { ParamSpec } from '../../contracts/index.js';
import { VitroError } from '../../tensor/errors.js';
import type { Tensor } from '../../tensor/graph.js';
import { relu } from '../../tensor/ops/activation.js';
import { add } from '../../tensor/ops/elementwise.js';
import { reshape, transpose } from '../../tensor/ops/movement.js';
import { dimOf } from '../../tensor/ops/operand.js';
import { concat, pad, slice } from '../../tensor/ops/slicing.js';
import { linear, linearSpec, type ParamTree, weightsOf } from '../param.js';
import type { AttentionContext } from './slot.js';

/** SimulationSizes of simulated heads. */
export interface SimulationSizes {
  /** times as many heads as projected */
  readonly factor: number;
  /** taps of the head maps along the features */
  readonly kernel: number;
  /** features of a projected query or key head */
  readonly compact: number;
  /** features of a simulated query or key head */
  readonly simulated: number;
}

/** Parameters of the maps that simulate heads and features, biases included. */
function simulationCount({ config }: AttentionContext, { factor, kernel, compact, simulated }: SimulationSizes): number {
  const headMaps = (heads: number): number => kernel * heads * factor * (heads + heads * factor) + 2 * heads * factor;
  const featureMaps = compact * simulated + simulated * simulated + 2 * simulated;
  return headMaps(config.num_attention_heads) + 2 * headMaps(config.num_key_value_heads) + 2 * featureMaps;
}

/** SimulationSizes from the settings; by default the projections are as narrow as the maps cost. */
export function simulationSizes(context: AttentionContext): SimulationSizes {
  const { config, settings } = context;
  const { hidden_size: D, num_attention_heads: H, num_key_value_heads: Hk, head_dim: d } = config;
  if (config.qk_norm !== 'none') throw new VitroError(`sas: qk_norm "${config.qk_norm}" is not defined for simulated heads; use none`);
  const [factor, kernel, ratio] = [Number(settings.head_factor), Number(settings.kernel_size), Number(settings.compact_ratio)];
  if (!Number.isInteger(factor) || factor < 1) throw new VitroError(`sas: head_factor must be a whole number from 1, got ${factor}`);
  if (!Number.isInteger(kernel) || kernel % 2 !== 1) throw new VitroError(`sas: kernel_size must be odd, got ${kernel}`);
  const simulated = 2 * Math.round((d * Number(settings.feature_factor)) / 2);
  const sizes = (compact: number): SimulationSizes => ({ factor, kernel, compact, simulated });
  if (ratio > 0) return sizes(Math.max(1, Math.round(d * ratio)));
  const excess = (compact: number): number => simulationCount(context, sizes(compact)) - D * (H + Hk) * (d - compact);
  const fitting = Array.from({ length: d - 1 }, (_, i) => d - i).find((compact) => excess(compact) <= 0);
  return sizes(fitting ?? 1);
}

/** A convolution over the features with heads as channels: x [B, T, d, H] -> [B, T, d, H']; the weight [kernel H, H'] holds a tap in H rows. */
function mixHeads(weights: ParamTree<Tensor>, name: string, x: Tensor, kernel: number): Tensor {
  const size = dimOf(x, 2) as number;
  const side = (kernel - 1) / 2;
  const padded = side === 0 ? x : pad(x, { 2: [side, side] });
  const taps = Array.from({ length: kernel }, (_, i) => (side === 0 ? padded : slice(padded, { 2: [i, i + size] })));
  return linear(weightsOf(weights, name), concat(taps));
}

/** Projected heads of one kind, flat [B, T, heads d] -> simulated heads [B, factor heads, T, d]. */
export function simulateHeads(
  weights: ParamTree<Tensor>,
  which: 'q' | 'k' | 'v',
  x: Tensor,
  heads: number,
  { kernel }: SimulationSizes,
): Tensor {
  const [batch, time, width] = x.shape as [Tensor['shape'][number], Tensor['shape'][number], number];
  const projected = transpose(reshape(x, [batch, time, heads, width / heads]), [0, 1, 3, 2]);
  const more = mixHeads(weights, `${which}_heads_proj`, projected, kernel);
  const mixed = add(more, mixHeads(weights, `${which}_heads_residual_proj`, relu(more), kernel));
  return transpose(mixed, [0, 3, 1, 2]);
}

/** [B, H', T, compact] -> [B, H', T, simulated] */
export function simulateFeatures(weights: ParamTree<Tensor>, which: 'q' | 'k', x: Tensor): Tensor {
  const wide = linear(weightsOf(weights, `${which}_features_proj`), x);
  return add(wide, linear(weightsOf(weights, `${which}_features_residual_proj`), relu(wide)));
}

/** Parameters of the maps of one kind over heads. */
export const headMapSpecs = (which: string, heads: number, { factor, kernel }: SimulationSizes): ParamTree<ParamSpec> => ({
  [`${which}_heads_proj`]: { ...linearSpec(kernel * heads, heads * factor, { bias: true }) },
  [`${which}_heads_residual_proj`]: { ...linearSpec(kernel * heads * factor, heads * factor, { bias: true }) },
});

/** Parameters of the maps of one kind over features. */
export const featureMapSpecs = (which: string, { compact, simulated }: SimulationSizes): ParamTree<ParamSpec> => ({
  [`${which}_features_proj`]: { ...linearSpec(compact, simulated, { bias: true }) },
  [`${which}_features_residual_proj`]: { ...linearSpec(simulated, simulated, { bias: true }) },
});

/** Multiplications of the maps for one token beyond one for each parameter: each weight meets every feature, or every head. */
export function simulationReuse({ config }: AttentionContext, { factor, kernel, compact, simulated }: SimulationSizes): number {
  const { num_attention_heads: H, num_key_value_heads: Hk, head_dim: d } = config;
  const headMaps = (heads: number, size: number): number => (size - 1) * kernel * heads * factor * heads * (1 + factor);
  const featureMaps = (heads: number): number => (factor * heads - 1) * simulated * (compact + simulated);
  return headMaps(H, compact) + headMaps(Hk, compact) + headMaps(Hk, d) + featureMaps(H) + featureMaps(Hk);
}
