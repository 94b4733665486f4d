import { exp, mul, neg, stopGradient, sub } from '../../../tensor/ops/elementwise.js';
import type { RolloutBatch } from '../batch.js';
import type { Aggregate, Auxiliary, AuxiliarySequence, HostContext, Phases, Sequence } from '../contract.js';
import type { Prompt } from '../trajectory.js';

/** Supervised fine-tuning beside reinforcement learning, on the demonstrations of the problems that the step sampled: L = (1 - mu) L_RL + mu L_SFT. */

/** A problem's demonstration: its column `demonstration`, or else `solution`. */
export function demonstrationText({ columns }: Prompt): string | undefined {
  const text = columns.demonstration ?? columns.solution;
  return typeof text === 'string' && text.length > 0 ? text : undefined;
}

/** Its tokens, with eos at the end. */
export function demonstrationTokens(text: string, { tokenizer, eos }: Pick<HostContext, 'tokenizer' | 'eos'>): Int32Array {
  const tokens = tokenizer.encode(text);
  const end = tokenizer.eos_token_id ?? [...eos][0];
  return end === undefined || eos.has(tokens.at(-1) ?? -1) ? tokens : Int32Array.from([...tokens, end]);
}

/** The demonstrations of a batch, one for each problem. */
export function demonstrations(batch: RolloutBatch, context: Pick<HostContext, 'tokenizer' | 'eos' | 'note'>): Sequence[] {
  const problems = new Map(batch.samples.map(({ trajectory: { prompt } }) => [prompt.id, prompt]));
  const out = [...problems.values()].flatMap((prompt): Sequence[] => {
    const text = demonstrationText(prompt);
    return text === undefined ? [] : [{ context: prompt.tokens, tokens: demonstrationTokens(text, context) }];
  });
  if (out.length < problems.size)
    context.note('Some problems have neither a column demonstration nor a column solution; nothing is imitated there.');
  return out;
}

/** Sequences with weights that make the loss a mean over their tokens. */
export function tokenMean(sequences: readonly Sequence[]): AuxiliarySequence[] {
  const total = sequences.reduce((n, { tokens }) => n + tokens.length, 0);
  return sequences.map((s) => ({ ...s, weights: new Float64Array(s.tokens.length).fill(1 / total) }));
}

/**
 * mu w -log pi, a mean over the tokens of the step's demonstrations. `sft_token_weight` is w: none = 1, or p(1-p) without gradient, p the policy's probability
 * of the token, which mutes what it knows already and what is far from it (Zhang et al. 2025, arXiv:2508.11408).
 */
export const demonstrationLoss: Auxiliary = {
  name: 'demonstrations',
  defaults: { mu: 0.1, sft_token_weight: 'none' },
  sequences: (batch, context) => tokenMean(demonstrations(batch, context)),
  loss: ({ policy, knob, settings }) => {
    const p = stopGradient(exp(policy.logp));
    const nll = neg(policy.logp);
    const loss = settings.sft_token_weight === 'p(1-p)' ? mul(mul(p, sub(1, p)), nll) : nll;
    return { loss: mul(knob('mu'), loss), metrics: { mu: knob('mu') } };
  },
};

/** The rest of the loss times 1 - mu: surrogate and penalty, through the weights of their tokens. */
export const restOf = (inner: Aggregate): Aggregate => {
  const { reduce } = inner;
  return {
    ...inner,
    name: `rest of ${inner.name}`,
    defaults: { ...inner.defaults, mu: 0.1 },
    weights: (lengths, settings) => inner.weights(lengths, settings).map((w) => (1 - Number(settings.mu)) * w),
    ...(reduce ? { reduce: (loss, context) => mul(sub(1, context.knob('mu')), reduce(loss, context)) } : {}),
  };
};

/** mu rises linearly to mu_peak, then falls to mu_valley along half a cosine, and stays there. mu_warmup and mu_decay are shares of the run. */
export const muSchedule: Phases = {
  name: 'mu-schedule',
  defaults: { mu_peak: 0.5, mu_valley: 0.02, mu_warmup: 0.1, mu_decay: 0.4 },
  at: ({ progress, number }) => {
    const [peak, valley, warmup, decay] = [number('mu_peak'), number('mu_valley'), number('mu_warmup'), number('mu_decay')];
    const fallen = decay > 0 ? Math.min(1, (progress - warmup) / decay) : 1;
    const mu = progress < warmup ? (peak * progress) / warmup : valley + ((peak - valley) * (1 + Math.cos(Math.PI * fallen))) / 2;
    return { settings: { mu } };
  },
};

/** mu is 1 in the first sft_share of the run and 0 in the rest: fine-tuning, then reinforcement learning. */
export const twoStages: Phases = {
  name: 'two-stages',
  defaults: { sft_share: 0.25 },
  at: ({ progress, number }) => ({ settings: { mu: progress < number('sft_share') ? 1 : 0 } }),
};
