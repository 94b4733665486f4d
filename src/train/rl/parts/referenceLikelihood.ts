import type { Tokenizer } from '../../../contracts/index.js';
import { answerMarker } from '../../../data/tasks/answer.js';
import { VitroError } from '../../../tensor/errors.js';
import type { Auxiliary, HostContext, Reward, Rollout, Sequence } from '../contract.js';
import type { Sample, ScoredSample, Segment } from '../trajectory.js';

/** How likely the policy finds the reference answer behind its own reasoning: rewards without a verifier. Legend: z reasoning up to the marker, y* answer. */

/** `answer_marker`: ends the reasoning; `answer_column`: where the data holds y* */
export const referenceDefaults = { answer_marker: answerMarker, answer_column: 'answer' } as const;

/** Number of tokens up to the end of the last marker; null where the text has none. A token that also holds text behind the marker counts as marker. */
export function reasoningLength(tokens: Int32Array, marker: string, tokenizer: Tokenizer): number | null {
  const text = (count: number): string => tokenizer.decode(tokens.subarray(0, count), { skip_special_tokens: true });
  const at = text(tokens.length).lastIndexOf(marker);
  if (at < 0) return null;
  let [low, high] = [0, tokens.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (text(middle).length >= at + marker.length) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** The tokens of y*. @throws VitroError where the problem has none */
export function referenceTokens({ trajectory: { prompt } }: Sample, { settings, tokenizer }: HostContext): Int32Array {
  const column = String(settings.answer_column);
  const answer = prompt.columns[column];
  if (typeof answer !== 'string' && typeof answer !== 'number')
    throw new VitroError(
      `the problem ${JSON.stringify(prompt.text)} has no text in the column ${column}; name the reference answers with answer_column`,
    );
  const tokens = tokenizer.encode(String(answer));
  if (tokens.length === 0) throw new VitroError(`the reference answer of the problem ${JSON.stringify(prompt.text)} is empty`);
  return tokens;
}

export const joinTokens = (...parts: readonly ArrayLike<number>[]): Int32Array => Int32Array.from(parts.flatMap((p) => Array.from(p)));

const lastSegment = ({ segments }: Pick<Sample, 'segments'>): Segment | undefined => segments.at(-1);

/** y* and the end of the completion behind the prompt and z; null where the completion marks no answer. */
function answerSequence(sample: Sample, context: HostContext): Sequence | null {
  const segment = lastSegment(sample);
  const length = segment ? reasoningLength(segment.tokens, String(context.settings.answer_marker), context.tokenizer) : null;
  if (!segment || length === null) return null;
  const [eos] = context.eos;
  const ending = eos === undefined ? [] : [eos];
  return {
    context: joinTokens(segment.replay_context ?? segment.context, segment.tokens.subarray(0, length)),
    tokens: joinTokens(referenceTokens(sample, context), ending),
  };
}

/** r = p(y* | x, z) under the policy of the moment, 0 where z marks no answer (Zhou et al. 2025, arXiv:2505.21493). The user's functions are not asked. */
export const referenceLikelihood: Reward = {
  name: 'reference-likelihood',
  defaults: referenceDefaults,
  score: async (samples, context) => {
    const sequences = samples.map((s) => answerSequence(s, context));
    const logps = await context.policy.logps(sequences.filter((s) => s !== null));
    let at = 0;
    return samples.map((s, i): ScoredSample => {
      const own = sequences[i] ? logps[at++] : undefined;
      const likelihood = own ? Math.exp(own.reduce((a, b) => a + b, 0)) : 0;
      return { ...s, reward: likelihood, rewards: { likelihood } };
    });
  },
};

/** The answers that the policy drew itself do not train: what stands behind z is y*'s place. */
export const withoutOwnAnswers = (inner: Rollout): Rollout => ({
  ...inner,
  name: `${inner.name}+reasoning-only`,
  defaults: { ...inner.defaults, answer_marker: answerMarker },
  sample: async (prompts, context) =>
    (await inner.sample(prompts, { ...context, ...context.of(inner) })).map((trajectory) => {
      const last = lastSegment(trajectory);
      const length = last ? reasoningLength(last.tokens, String(context.settings.answer_marker), context.tokenizer) : null;
      if (!last || length === null) return trajectory;
      const actions = last.actions.map((a, i) => (i < length ? a : 0));
      return { ...trajectory, segments: [...trajectory.segments.slice(0, -1), { ...last, actions }] };
    }),
});

/** -answer_coef p(y* | x, z) log pi(y* | x, z), a mean over the samples that train; p is the reward, a constant. */
export const weightedReference: Auxiliary = {
  name: 'reference-answer',
  defaults: { ...referenceDefaults, answer_coef: 1 },
  sequences: (batch, context) => {
    const own = batch.training;
    return own.flatMap((n) => {
      const sample = batch.samples[n] as ScoredSample;
      const weight = (context.number('answer_coef') * (sample.rewards.likelihood ?? 0)) / own.length;
      const sequence = weight === 0 ? null : answerSequence(sample, context);
      return sequence ? [{ ...sequence, weights: new Float64Array(sequence.tokens.length).fill(weight) }] : [];
    });
  },
};
