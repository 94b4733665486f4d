import type { ParamSpec } from '../../contracts/index.js';
import type { Tensor } from '../../tensor/graph.js';
import { sigmoid, softplus } from '../../tensor/ops/activation.js';
import { add, div, exp, log, maximum, minimum, mul, sub } from '../../tensor/ops/elementwise.js';
import { reshape } from '../../tensor/ops/movement.js';
import { l2Normalize } from '../../tensor/ops/norm.js';
import { dimOf } from '../../tensor/ops/operand.js';
import { concat, split } from '../../tensor/ops/slicing.js';
import { linear, linearSpec, type ParamTree, paramSpec, weightsOf } from '../param.js';
import { mergeHeads, readValues, shareHeads, splitHeads } from './core.js';
import type { AttentionContext, AttentionMethod } from './slot.js';
import { softmax } from './softmax.js';

/** Keeps b and the gate from zero. */
const eps = 1e-6;

/** Features of a value head; by default so many that the two gates cost what narrower values and output free. */
function valueSize({ config, settings }: AttentionContext): number {
  const { num_attention_heads: H, num_key_value_heads: Hk, head_dim: d } = config;
  const ratio = Number(settings.value_ratio);
  return Math.max(1, Math.round(d * (ratio === 0 ? (H + Hk) / (3 * H + Hk) : ratio)));
}

/** b [1, Hk, 1, dv] > 0 */
function inverseTemperature(weights: ParamTree<Tensor>, context: AttentionContext): Tensor {
  const raw = weightsOf(weights, 'inverse_temperature').weight;
  const b = add(softplus(add(raw, Number(context.settings.beta_init))), eps);
  return reshape(b, [1, context.config.num_key_value_heads, 1, valueSize(context)]);
}

const usesEnergy = (context: AttentionContext): boolean => context.settings.free_energy === true;
const usesGate = (context: AttentionContext): boolean => context.settings.outer_gate === true;

/**
 * Free Energy Mixer with the softmax prior (Lu and Yang, ICLR 2026, arXiv:2602.07160), p the weights of softmax attention:
 *   mu_c = sum_s p_s v_sc,   F_c = (1/b_c) log sum_s p_s exp(b_c v_sc),   o_c = g_c ((1 - l_c) mu_c + l_c F_c)
 *   l = sigmoid(x W_l),   g = softplus(x W_g), scaled to root mean square 1 over each head
 * Against softmax: each channel may select the token whose value is large there instead of the head's common average; both reads come from one
 * pass over [v, exp(b v)]. b v is clipped to +-40, so that exp neither overflows nor vanishes and no token's value shifts another's.
 */
export const fem: AttentionMethod = {
  ...softmax,
  id: 'fem',
  summary: 'each channel reads a gated free energy (log-sum-exp) of the values instead of their average',
  seed: 'P681',
  paper: 'arXiv:2602.07160',
  equation: 'o_c = g_c ((1 - l_c) sum_s p_s v_sc + l_c (1/b_c) log sum_s p_s exp(b_c v_sc))',
  parent: 'softmax',
  defaults: { value_ratio: 0, beta_init: 1.8, free_energy: true, outer_gate: true, value_cap: 40 },
  knobs: {
    value_ratio: "size of a value head over head_dim; 0 = the one at which the parameters add up to softmax's (1/2 without shared heads)",
    beta_init: 'the inverse temperature b starts at softplus of this',
    free_energy: 'false reads the average alone',
    outer_gate: 'false leaves out g',
    value_cap: 'b v is clipped to this on both sides',
  },
  limits: [
    { settings: { value_ratio: 1, free_energy: false, outer_gate: false }, tolerance: 0 },
    // F - mu is b/2 times a variance of values
    { settings: { value_ratio: 1, outer_gate: false, beta_init: -8 }, tolerance: 1e-3 },
  ],
  provenance: 'repo',
  assumes: [
    "as the authors' code without its optional time-decay convolution of queries, keys, values and gates",
    'b is one number for each channel of a key/value head, so that heads that share values share exp(b v); the code knows no shared heads',
    "the code's shift by the largest value of the sequence is left out: the clip alone keeps exp within float32, and outputs stay causal to the bit",
    "parameters: softmax's at equal config within rounding (value heads of half size without shared heads, as in the paper's budget) plus b",
  ],
  demo: { testbed: 'shakespeare', baseline: 'softmax', metric: 'val/bpb', cost: 'tokens', expect: 'gain' },
  isPlainSoftmax: false,
  specs: (context) => {
    const { hidden_size: D, num_attention_heads: H, num_key_value_heads: Hk, attention_bias: bias, ...rest } = context.config;
    const size = valueSize(context);
    return {
      ...softmax.specs(context),
      v_proj: { ...linearSpec(D, Hk * size, { bias }) },
      o_proj: { ...linearSpec(H * size, D, { bias: rest.attention_out_bias, gain: rest.residual_gain }) },
      ...(usesEnergy(context)
        ? {
            lambda_proj: { ...linearSpec(D, H * size, { bias }) },
            inverse_temperature: { weight: paramSpec('vector', [Hk * size], { kind: 'zeros' }) },
          }
        : {}),
      ...(usesGate(context) ? { gate_proj: { ...linearSpec(D, H * size, { bias }) } } : {}),
    } satisfies ParamTree<ParamSpec>;
  },
  attend: (weights, heads, view, context) => {
    if (!usesEnergy(context)) return readValues(heads, view);
    const b = inverseTemperature(weights, context);
    const cap = Number(context.settings.value_cap);
    const bv = maximum(minimum(mul(b, heads.v), cap), -cap);
    const read = readValues({ ...heads, v: concat([div(bv, b), exp(bv)]) }, view);
    const [mean, partition] = split(read, 2) as [Tensor, Tensor];
    return concat([mean, div(log(partition), shareHeads(b, context.config.num_attention_heads))]);
  },
  output: (weights, mixed, x, context) => {
    const heads = context.config.num_attention_heads;
    const gates = (name: string): Tensor => splitHeads(linear(weightsOf(weights, name), x), heads);
    let read = mixed;
    if (usesEnergy(context)) {
      const [mean, energy] = split(mixed, 2) as [Tensor, Tensor];
      read = add(mean, mul(sigmoid(gates('lambda_proj')), sub(energy, mean)));
    }
    if (usesGate(context)) {
      const gate = l2Normalize(add(softplus(gates('gate_proj')), eps));
      read = mul(read, mul(gate, Math.sqrt(dimOf(gate, -1) as number)));
    }
    return linear(weightsOf(weights, 'o_proj'), mergeHeads(read));
  },
  cacheShape: (context) => {
    const { num_key_value_heads: Hk, head_dim: d } = context.config;
    return { keys: [Hk, d], values: [Hk, valueSize(context)] };
  },
  flopsPerToken: (context, length) => {
    const { num_attention_heads: H, head_dim: d } = context.config;
    return 2 * length * H * (d + (usesEnergy(context) ? 2 : 1) * valueSize(context));
  },
};
