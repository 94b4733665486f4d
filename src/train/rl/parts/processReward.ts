import { stepSeparator } from '../../../data/tasks/answer.js';
import type { Advantage, HostContext, Reward, Sequence } from '../contract.js';
import type { ScoredSample, Segment } from '../trajectory.js';
import { deviation } from './advantage.js';
import { placesBy } from './answers.js';
import { joinTokens, reasoningLength, referenceDefaults, referenceTokens } from './referenceLikelihood.js';

/**
 * Progress of reasoning as a reward (Liu et al. 2025, arXiv:2512.01925). Legend: J_t mean log-probability of the reference answer's tokens behind the first t
 * steps (J_0: behind the problem alone), S_t score of the steps up to t, r_t = S_t - S_{t-1}.
 */

/** Kendall's rank correlation of the values with their order, from -1 to 1; 0 where there are fewer than two. */
export function kendallTau(values: readonly number[]): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++)
    for (let j = i + 1; j < values.length; j++) sum += Math.sign((values[j] as number) - (values[i] as number));
  return values.length < 2 ? 0 : (2 * sum) / (values.length * (values.length - 1));
}

/**
 * r_1 ... r_T from J_0 and J_1 ... J_T:
 *   S_t = (1 - w) (1 - tanh(J_t / J_0)) + w (1 + tau(J_1 ... J_t)) / 2
 */
export function progress(baseline: number, values: readonly number[], stability: number): number[] {
  const size = (j: number): number => 1 - Math.tanh(j / Math.min(baseline, -1e-6));
  let before = (1 - stability) * size(baseline) + stability / 2;
  return values.map((j, t) => {
    const score = (1 - stability) * size(j) + (stability * (1 + kendallTau(values.slice(0, t + 1)))) / 2;
    const gain = score - before;
    before = score;
    return gain;
  });
}

/** A step: tokens [start, end) of a segment, its separator included in `end` and not in `content`. */
interface Step {
  readonly start: number;
  readonly content: number;
  readonly end: number;
}

/** Steps of a segment up to its answer, or up to its end where it marks none; of these the `most` with the highest entropy at their first token (0 = all). */
function stepsOf({ tokens, entropies }: Segment, most: number, { settings, tokenizer, eos }: HostContext): Step[] {
  const marked = reasoningLength(tokens, String(settings.answer_marker), tokenizer);
  const ended = eos.has(tokens.at(-1) ?? -1) ? tokens.length - 1 : tokens.length;
  const stop = marked === null ? ended : marked - 1;
  const separator = String(settings.step_separator);
  const out: Step[] = [];
  for (let start = 0, k = 0; k < stop; k++) {
    const separates = tokenizer.decode(tokens.subarray(k, k + 1)).includes(separator);
    if (!separates && k < stop - 1) continue;
    if (!separates || k > start) out.push({ start, content: separates ? k : k + 1, end: k + 1 });
    start = k + 1;
  }
  if (most <= 0 || out.length <= most) return out;
  const entropy = (s: Step): number => entropies[s.start] ?? 0;
  const chosen = new Set([...out].sort((a, b) => entropy(b) - entropy(a) || a.start - b.start).slice(0, most));
  return out.filter((s) => chosen.has(s));
}

/** Adds process_coef times the normalised r_t at the last token of each step; r_t is normalised over all steps of a group. */
export const withProcessReward = (inner: Reward): Reward => ({
  ...inner,
  name: `${inner.name}+process`,
  defaults: {
    ...inner.defaults,
    ...referenceDefaults,
    step_separator: stepSeparator,
    process_coef: 0.1,
    process_stability: 0.2,
    process_segments: 0,
  },
  score: async (samples, context) => {
    const scored = await inner.score(samples, context.of(inner));
    if (context.number('process_coef') === 0) return scored;
    const plans = scored.map((sample) => ({
      sample,
      steps: stepsOf(sample.segments.at(-1) as Segment, context.number('process_segments'), context),
    }));
    const marker = context.tokenizer.encode(String(context.settings.answer_marker));
    const sequences = plans.flatMap(({ sample, steps }): Sequence[] => {
      const segment = sample.segments.at(-1) as Segment;
      const tokens = referenceTokens(sample, context);
      return [0, ...steps.map((s) => s.content)].map((end) => ({
        context: joinTokens(segment.replay_context ?? segment.context, segment.tokens.subarray(0, end), marker),
        tokens,
      }));
    });
    const means = (await context.policy.logps(sequences)).map((own) => own.reduce((a, b) => a + b, 0) / own.length);
    let at = 0;
    const gains = plans.map(({ steps }) => {
      const [baseline = 0, ...values] = means.slice(at, at + steps.length + 1);
      at += steps.length + 1;
      return progress(baseline, values, context.number('process_stability'));
    });
    const normalised = new Map<number, number[]>();
    for (const places of placesBy(scored, (s) => s.group)) {
      const all = places.flatMap((i) => gains[i] as number[]);
      const [mean, spread] = [all.reduce((a, b) => a + b, 0) / Math.max(1, all.length), all.length > 1 ? deviation(all) : 0];
      for (const i of places)
        normalised.set(
          i,
          (gains[i] as number[]).map((r) => (spread === 0 ? 0 : (r - mean) / (spread + 1e-4))),
        );
    }
    return plans.map(({ sample, steps }, i): ScoredSample => {
      const length = sample.segments.reduce((n, s) => n + s.tokens.length, 0);
      const from = length - (sample.segments.at(-1) as Segment).tokens.length;
      const token_rewards = sample.token_rewards?.slice() ?? new Float64Array(length);
      for (const [t, { end }] of steps.entries()) {
        const place = from + end - 1;
        token_rewards[place] = (token_rewards[place] as number) + context.number('process_coef') * (normalised.get(i)?.[t] as number);
      }
      const progressed = (gains[i] as number[]).reduce((a, b) => a + b, 0);
      return { ...sample, token_rewards, rewards: { ...sample.rewards, progress: progressed } };
    });
  },
});

/** The inner credit for the rewards of samples, plus the sum of the token rewards from each token on (process supervision, arXiv:2402.03300). */
export const withTokenReturns = (inner: Advantage): Advantage => ({
  ...inner,
  name: `${inner.name}+token-returns`,
  compute: (batch, context) => {
    const given = batch.token_rewards.slice();
    batch.token_rewards.fill(0);
    const credit = inner.compute(batch, context.of(inner));
    batch.token_rewards.set(given);
    const out = credit.length === batch.tokens ? credit.slice() : batch.spread(credit);
    for (let n = 0; n < batch.size; n++) {
      const { start, end } = batch.span(n);
      let later = 0;
      for (let k = end - 1; k >= start; k--) {
        later += given[k] as number;
        out[k] = (out[k] as number) + later;
      }
    }
    return out;
  },
});
