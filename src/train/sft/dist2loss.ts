import type { Settings, Tokenizer } from '../../contracts/index.js';
import { NDArray } from '../../tensor/array.js';
import { VitroError } from '../../tensor/errors.js';
import { logSoftmax } from '../../tensor/ops/activation.js';
import { add, cast, eq, exp, mul, neg, square, sub } from '../../tensor/ops/elementwise.js';
import { gather } from '../../tensor/ops/indexing.js';
import { unsqueeze } from '../../tensor/ops/movement.js';
import { constant } from '../../tensor/ops/operand.js';
import { sum } from '../../tensor/ops/reduce.js';
import type { SftMethod } from './slot.js';

/** The tokens of a tokenizer that stand for the digits 0 ... 9, as settings of dist2loss. */
export function digitTokens(tokenizer: Tokenizer): {
  readonly metric_tokens: readonly number[];
  readonly metric_values: readonly number[];
} {
  const ids = Array.from('0123456789', (digit) => [...tokenizer.encode(digit)]);
  const tokens = ids.map((own, digit) => {
    if (own.length !== 1) throw new VitroError(`digitTokens: the tokenizer has no single token for ${digit}`);
    return own[0] as number;
  });
  return { metric_tokens: tokens, metric_values: tokens.map((_, digit) => digit) };
}

function metric(settings: Settings): { readonly tokens: readonly number[]; readonly values: readonly number[] } {
  const [tokens, values] = [settings.metric_tokens as readonly number[], settings.metric_values as readonly number[]];
  if (tokens.length !== values.length)
    throw new VitroError(`dist2loss: ${tokens.length} metric_tokens need as many metric_values, got ${values.length}`);
  return { tokens, values };
}

/**
 * DIST2Loss (Chung et al. 2025, arXiv:2503.02379): where the target is a number, tokens near it are nearly right.
 *   l_t = -log p_t + alpha sum_{v in V_d} q(v) log( q(v) / p(v | x_<t) ),   q(v) proportional to exp(-(v - y_t)^2 / tau) over the tokens V_d with values
 * Against sft: the second term of the target, at positions whose target has a value.
 */
export const dist2loss: SftMethod = {
  id: 'dist2loss',
  summary: 'numbers are also trained towards a target that spreads over near values',
  seed: 'P788',
  paper: 'arXiv:2503.02379',
  equation: 'l_t = -log p_t + alpha KL(q || p), q(v) ~ exp(-(v - y_t)^2 / tau) over tokens with values',
  parent: 'sft',
  defaults: { alpha: 0.1, tau: 1, metric_tokens: [], metric_values: [] },
  knobs: {
    alpha: 'weight of the divergence; 0 is sft',
    tau: 'width of the target in squared units of the values',
    metric_tokens: 'ids of the tokens that have values (digitTokens gives those of a tokenizer); none is sft',
    metric_values: 'their values, in the same order',
  },
  limits: [
    { settings: { alpha: 0 }, tolerance: 0 },
    { settings: { metric_tokens: [], metric_values: [] }, tolerance: 0 },
  ],
  provenance: 'paper',
  assumes: [
    'the distance is the squared difference of the values, as the paper takes for numbers',
    'each token of a number is judged by itself',
  ],
  demo: { testbed: 'sft-numbers', baseline: 'sft', metric: 'eval_error', cost: 'tokens', expect: 'gain' },
  needs: ['logits'],
  target: ({ policy, batch, settings }, inner) => {
    const { tokens, values } = metric(settings);
    const plain = inner();
    const alpha = Number(settings.alpha);
    if (alpha === 0 || tokens.length === 0) return plain;
    const values_V = constant(new NDArray('f32', [values.length], Float32Array.from(values)));
    const tokens_V = constant(new NDArray('i32', [tokens.length], Int32Array.from(tokens)));
    const isTarget = cast(eq(unsqueeze(batch.targets, 2), tokens_V), 'f32');
    const value = sum(mul(isTarget, values_V), { axis: 2, keepDims: true });
    const target = logSoftmax(neg(square(sub(value, values_V)).div(Number(settings.tau))));
    const kl = sum(mul(exp(target), sub(target, gather(policy.logprobs, tokens_V, 2))), { axis: 2 });
    return add(plain, mul(mul(kl, sum(isTarget, { axis: 2 })), alpha));
  },
  wraps: ['target'],
};
