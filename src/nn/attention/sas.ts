import type { Tensor } from '../../tensor/graph.js';
import { reshape } from '../../tensor/ops/movement.js';
import { dimOf } from '../../tensor/ops/operand.js';
import { mean } from '../../tensor/ops/reduce.js';
import { linear, linearSpec, weightsOf } from '../param.js';
import { mergeHeads, readValues } from './core.js';
import { featureMapSpecs, headMapSpecs, simulateFeatures, simulateHeads, simulationReuse, simulationSizes } from './simulatedHeads.js';
import type { AttentionMethod } from './slot.js';
import { softmax } from './softmax.js';

/**
 * Simulated Attention Score with parameter-efficient aggregation (Zheng et al., NeurIPS 2025, arXiv:2507.07694), for each token:
 *   h = conv(q),  h = h + conv(relu(h))  over features, heads as channels (H -> rH);   f = h W,  q = f + relu(f) W'  (d -> d');   k alike, v heads only
 *   y = (1/r) sum_{c<r} [o_{cH}, ..., o_{cH+H-1}] W_o
 * Against softmax: scores come from r times as many and larger heads than are projected; groups of H outputs share one output map.
 */
export const sas: AttentionMethod = {
  ...softmax,
  id: 'sas',
  summary: 'small projected heads grow into more and larger simulated heads before scoring; outputs are averaged over groups',
  seed: 'S05',
  paper: 'arXiv:2507.07694',
  equation:
    'q, k -> H r heads of size d f by residual maps over heads and features, v -> H r heads; y = mean over r groups of concat(o) W_o',
  parent: 'softmax',
  defaults: { head_factor: 2, feature_factor: 1.5, kernel_size: 3, compact_ratio: 0 },
  knobs: {
    head_factor: 'simulated over projected heads',
    feature_factor: 'size of a simulated query or key head over head_dim',
    kernel_size: 'taps of the head maps along the features',
    compact_ratio:
      "size of a projected query or key head over head_dim; 0 = the largest at which there are no more parameters than softmax's (1 where none is small enough)",
  },
  limits: [
    {
      settings: { head_factor: 2, feature_factor: 1, kernel_size: 3, compact_ratio: 1 },
      inputs: 'head maps that copy, feature maps that change nothing, residual maps at zero',
      tolerance: 1e-6,
    },
  ],
  provenance: 'repo',
  assumes: [
    "layers and their order are those of the authors' code; its sizes are arguments, so head_factor, feature_factor and kernel_size are chosen here",
    'projected query and key heads are made smaller so that the parameters do not exceed those of softmax at the same config; the code projects head_dim',
    'with shared key/value heads their simulated number is r times the shared number',
    'positions turn the simulated queries and keys; scores are divided by the root of the simulated size; the cache keeps simulated keys and values',
    'the mean over groups is taken before the output map, which is the same',
  ],
  demo: { testbed: 'shakespeare', baseline: 'softmax', metric: 'val/bpb', cost: 'tokens', expect: 'gain' },
  isPlainSoftmax: false,
  specs: (context) => {
    const { hidden_size: D, num_attention_heads: H, num_key_value_heads: Hk, attention_bias: bias } = context.config;
    const sizes = simulationSizes(context);
    return {
      ...softmax.specs(context),
      q_proj: { ...linearSpec(D, H * sizes.compact, { bias }) },
      k_proj: { ...linearSpec(D, Hk * sizes.compact, { bias }) },
      ...headMapSpecs('q', H, sizes),
      ...headMapSpecs('k', Hk, sizes),
      ...headMapSpecs('v', Hk, sizes),
      ...featureMapSpecs('q', sizes),
      ...featureMapSpecs('k', sizes),
    };
  },
  project: (weights, x, context) => {
    const { num_attention_heads: H, num_key_value_heads: Hk } = context.config;
    const sizes = simulationSizes(context);
    const heads = (which: 'q' | 'k' | 'v', n: number): Tensor =>
      simulateHeads(weights, which, linear(weightsOf(weights, `${which}_proj`), x), n, sizes);
    return { q: simulateFeatures(weights, 'q', heads('q', H)), k: simulateFeatures(weights, 'k', heads('k', Hk)), v: heads('v', Hk) };
  },
  attend: (_weights, heads, view, context) => {
    const shrink = Math.sqrt(context.config.head_dim / simulationSizes(context).simulated);
    return readValues(heads, { ...view, scale: view.scale * shrink });
  },
  output: (weights, mixed, _x, context) => {
    const { num_attention_heads: H, head_dim: d } = context.config;
    const grouped = reshape(mixed, [dimOf(mixed, 0), simulationSizes(context).factor, H, dimOf(mixed, 2), d]);
    return linear(weightsOf(weights, 'o_proj'), mergeHeads(mean(grouped, { axis: 1 })));
  },
  cacheShape: (context) => {
    const { num_key_value_heads: Hk, head_dim: d } = context.config;
    const { factor, simulated } = simulationSizes(context);
    return { keys: [factor * Hk, simulated], values: [factor * Hk, d] };
  },
  queryShape: (context) => {
    const { factor, simulated } = simulationSizes(context);
    return [factor * context.config.num_attention_heads, simulated];
  },
  flopsPerToken: (context, length) => {
    const { num_attention_heads: H, head_dim: d } = context.config;
    const sizes = simulationSizes(context);
    return 2 * length * sizes.factor * H * (sizes.simulated + d) + 2 * simulationReuse(context, sizes);
  },
};
