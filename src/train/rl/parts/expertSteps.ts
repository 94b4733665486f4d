import { permutation } from '../../../data/stream/permutation.js';
import { answerMarker, stepSeparator } from '../../../data/tasks/answer.js';
import { VitroError } from '../../../tensor/errors.js';
import { foldIn } from '../../../tensor/random/threefry.js';
import type { Prompts, Reward, Rollout } from '../contract.js';
import type { Prompt } from '../trajectory.js';
import { joinTokens } from './referenceLikelihood.js';
import { completionTrajectory } from './sampling.js';
import { gestaltRatio } from './similarity.js';

/** Expert solutions step by step (Deng et al. 2025, arXiv:2510.25992). The last action of a solution is its last step with the answer. */

const separatorDefault = { step_separator: stepSeparator } as const;
const actionColumn = 'expert_action';

/** Actions of a worked solution. @throws VitroError where the problem has none */
function expertActions({ text, columns: { steps, answer } }: Prompt): string[] {
  if (!Array.isArray(steps) || !steps.every((s) => typeof s === 'string') || (typeof answer !== 'string' && typeof answer !== 'number'))
    throw new VitroError(`the problem ${JSON.stringify(text)} has no expert solution; give the columns steps (texts) and answer`);
  const last = `${steps.at(-1) ?? ''}${answerMarker}${answer}`;
  return [...(steps as string[]).slice(0, -1), last];
}

interface Drawn {
  count: number;
}

/** Problems followed by the first k actions of the expert, k at random; the column expert_action holds the next one. */
export const withExpertPrefixes = (inner: Prompts): Prompts<Drawn> => ({
  ...inner,
  name: `${inner.name}+expert-prefixes`,
  defaults: { ...inner.defaults, ...separatorDefault },
  init: () => ({ count: 0 }),
  next: async (count, dataset, context) => {
    const problems = await inner.next(count, dataset, context.of(inner));
    const separator = String(context.settings.step_separator);
    return problems.map((p) => {
      const actions = expertActions(p);
      const k = permutation(foldIn(context.key('prefix', 'run'), context.state.count++), actions.length)(0);
      const prefix = actions
        .slice(0, k)
        .map((a) => `${a}${separator}`)
        .join('');
      const tokens = prefix === '' ? p.tokens : joinTokens(p.tokens, context.tokenizer.encode(prefix));
      return { ...p, text: p.text + prefix, tokens, columns: { ...p.columns, [actionColumn]: actions[k] as string } };
    });
  },
  ...(inner.observe ? { observe: (batch, context) => inner.observe?.(batch, context.of(inner)) } : {}),
});

/** num_generations completions of every problem that end with the step: at the separator or at eos. */
export const nextStepRollout: Rollout = {
  name: 'next-step',
  defaults: separatorDefault,
  sample: async (prompts, { policy, settings, num_generations }) => {
    const requests = prompts.map(({ prompt, context }, i) => ({ context, n: num_generations, id: prompt.place ?? i }));
    const completions = await policy.generate(requests, { stop: [String(settings.step_separator)] });
    return prompts.flatMap((p, i) => (completions[i] ?? []).map((c) => completionTrajectory(p, c)));
  },
};

/** Similarity of a step with the expert's, -1 where it was not finished or is empty. The user's reward functions are not asked. */
export const expertSimilarity: Reward = {
  name: 'expert-similarity',
  score: (samples) =>
    samples.map((s) => {
      const { text, finish_reason, prompt } = s.trajectory;
      const invalid = finish_reason === 'length' || text.trim() === '';
      const similarity = invalid ? -1 : gestaltRatio(text, String(prompt.columns[actionColumn] ?? ''));
      return { ...s, reward: similarity, rewards: { similarity } };
    }),
};
