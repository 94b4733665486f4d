import { VitroError } from '../../../tensor/errors.js';
import type { Prompts, Reward } from '../contract.js';
import type { Prompt, Sample } from '../trajectory.js';
import { answerDefaults, answerReader, best, placesBy, tally } from './answers.js';

/** A problem and its paraphrase, solved side by side (Wang et al. 2025, arXiv:2511.01191). Legend: p0(a), p1(a) shares of answer a among the completions of each. */

/** column that tells the views apart */
const viewColumn = 'view';
const isParaphrase = ({ trajectory: { prompt } }: Sample): boolean => prompt.columns[viewColumn] === 'paraphrase';

/** Half as many problems, each followed by its paraphrase, the text in the column `paraphrase_column`; each view is a group of its own. */
export const withParaphrases = (inner: Prompts): Prompts => ({
  ...inner,
  name: `${inner.name}+paraphrases`,
  defaults: { ...inner.defaults, paraphrase_column: 'paraphrase' },
  next: async (count, dataset, context) => {
    if (count % 2 !== 0) throw new VitroError(`two views of each problem need an even prompts_per_step, got ${count}`);
    const column = String(context.settings.paraphrase_column);
    const problems = await inner.next(count / 2, dataset, context.of(inner));
    return problems.flatMap((p): Prompt[] => {
      const text = p.columns[column];
      if (typeof text !== 'string')
        throw new VitroError(
          `the problem ${JSON.stringify(p.text)} has no text in the column ${column}; name the paraphrases with paraphrase_column`,
        );
      const tokens = context.tokenizer.encode(text, { add_special_tokens: true });
      return [
        { ...p, columns: { ...p.columns, [viewColumn]: 'original' } },
        { ...p, text, tokens, columns: { ...p.columns, [viewColumn]: 'paraphrase' } },
      ];
    });
  },
  ...(inner.observe ? { observe: (batch, context) => inner.observe?.(batch, context.of(inner)) } : {}),
});

/** 2 p0 p1 / (p0 + p1) of every answer that both views gave, from votes and numbers of completions; those of a single view are its shares. */
export function harmonicScores(
  views: readonly { readonly votes: ReadonlyMap<string, number>; readonly size: number }[],
): Map<string, number> {
  const [first, second] = views.filter((v) => v.size > 0);
  const out = new Map<string, number>();
  for (const [answer, votes] of first?.votes ?? []) {
    const p0 = votes / (first?.size ?? 1);
    const p1 = second ? (second.votes.get(answer) ?? 0) / second.size : p0;
    if (p1 > 0) out.set(answer, (2 * p0 * p1) / (p0 + p1));
  }
  return out;
}

/** 1 where a completion gives the answer with the highest harmonic mean of p0 and p1, in either view; where no answer is common to both, all get 0. */
export const harmonicVote: Reward = {
  name: 'harmonic-vote',
  defaults: answerDefaults,
  score: (samples, { settings, metric }) => {
    const read = answerReader(settings);
    const answers = samples.map((s) => read(s.trajectory.text));
    const rewards = new Float64Array(samples.length);
    for (const places of placesBy(samples, (s) => s.trajectory.prompt.id)) {
      const views = [false, true].map((paraphrased) => {
        const own = places.filter((i) => isParaphrase(samples[i] as Sample) === paraphrased);
        return { votes: tally(own.map((i) => answers[i] ?? null)), size: own.length };
      });
      const label = best(harmonicScores(views));
      for (const i of places) if (label !== null && answers[i] === label) rewards[i] = 1;
      metric('votes/common_ratio', label === null ? 0 : 1);
    }
    return samples.map((s, i) => ({ ...s, reward: rewards[i] as number, rewards: { harmonic_vote: rewards[i] as number } }));
  },
};
