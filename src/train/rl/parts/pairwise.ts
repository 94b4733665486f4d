import { judgeForm, pairText } from '../../../evaluate/generativeJudge.js';
import { VitroError } from '../../../tensor/errors.js';
import type { HostContext, Prompts, Reward, Rollout, Scaffolded } from '../contract.js';
import type { Prompt, ScoredSample } from '../trajectory.js';
import { answerDefaults, answerReader } from './answers.js';

/** Judging pairs of answers as a problem with a verdict (Guo et al. 2025, arXiv:2505.14674, RRM). Pairs have the columns `chosen` and `rejected`. */

const formDefaults = { rrm_template: judgeForm.template, rrm_labels: judgeForm.labels.join(',') } as const;

const isPair = ({ columns }: Prompt): boolean => typeof columns.chosen === 'string' && typeof columns.rejected === 'string';

/** A pair as two problems, the better answer first in one of them. The question is the column `question`, or the prompt where there is none. */
function orders(prompt: Prompt, { settings, tokenizer }: HostContext): readonly Prompt[] {
  if (!isPair(prompt)) return [prompt];
  const { columns } = prompt;
  const labels = String(settings.rrm_labels).split(',');
  if (labels.length !== 2) throw new VitroError(`rrm_labels must be two verdicts with a comma between them, got ${settings.rrm_labels}`);
  const question = typeof columns.question === 'string' ? columns.question : prompt.text;
  const [chosen, rejected] = [columns.chosen as string, columns.rejected as string];
  return labels.map((answer, i): Prompt => {
    const [first, second] = i === 0 ? [chosen, rejected] : [rejected, chosen];
    const text = pairText(String(settings.rrm_template), { question, first, second });
    return { ...prompt, text, tokens: tokenizer.encode(text, { add_special_tokens: true }), columns: { ...columns, answer } };
  });
}

/** Every pair of the data in both orders, one after the other; the column `answer` is the verdict that is right. Other problems stay as they are. */
export const bothOrders = (inner: Prompts): Prompts => ({
  ...inner,
  name: `both orders of ${inner.name}`,
  defaults: { ...inner.defaults, ...formDefaults },
  next: async (count, dataset, context) => {
    const out: Prompt[] = [];
    // half as many pairs; again where some problems are none
    while (out.length < count) {
      const taken = await inner.next(Math.ceil((count - out.length) / 2), dataset, context.of(inner));
      if (taken.length === 0) break;
      out.push(...taken.flatMap((prompt) => orders(prompt, context)));
    }
    return out.slice(0, count);
  },
  observe: (batch, context) => inner.observe?.(batch, context.of(inner)),
});

/** rrm_ask behind every problem, in training and in use: it asks for a thought before the verdict. */
export const askedRollout = (inner: Rollout): Rollout => ({
  ...inner,
  name: `asked ${inner.name}`,
  decodes: true,
  defaults: { ...inner.defaults, rrm_ask: judgeForm.ask },
  sample: (prompts, context) => {
    const ask = context.tokenizer.encode(String(context.settings.rrm_ask));
    const behind = (tokens: Int32Array): Int32Array => Int32Array.from([...tokens, ...ask]);
    const asked = prompts.map((p): Scaffolded => {
      const replay = p.replay_context ? { replay_context: behind(p.replay_context) } : {};
      return ask.length > 0 ? { ...p, context: behind(p.context), ...replay } : p;
    });
    return inner.sample(asked, { ...context, ...context.of(inner) });
  },
});

/** 1 where the verdict on a pair is right, else -1; other problems are scored as before. */
export const verdictReward = (inner: Reward): Reward => ({
  ...inner,
  name: `verdict or ${inner.name}`,
  defaults: { ...inner.defaults, ...answerDefaults },
  score: async (samples, context) => {
    const read = answerReader(context.settings);
    const others = samples.filter((s) => !isPair(s.trajectory.prompt));
    const scored = others.length > 0 ? [...(await inner.score(others, context.of(inner)))] : [];
    return samples.map((sample): ScoredSample => {
      const { prompt, text } = sample.trajectory;
      if (!isPair(prompt)) return scored.shift() as ScoredSample;
      const reward = read(text) === prompt.columns.answer ? 1 : -1;
      return { ...sample, reward, rewards: { verdict: reward } };
    });
  },
});
