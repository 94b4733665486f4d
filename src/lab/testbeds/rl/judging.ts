import { extractAnswer, extractSteps, writeSolution } from '../../../data/tasks/index.js';
import type { PromptRow } from '../../../train/rl/index.js';
import { answerPair, judgedPair, judgingBase, judgingForm, judgingSteps } from '../../bases/judging.js';
import { hashOf } from '../../runStore.js';
import { level, make, type Split } from './about.js';
import type { Problems } from './problems.js';

/** Which of two answers to chain arithmetic is right: a hidden computation that a judge can do before its verdict, or has to guess. */

const levels = [2, 3] as const;

/** Pairs in an order of their own each. Rows have the columns `question`, `chosen` and `rejected` besides; `answer` is the verdict. */
export function pairProblems(split: Split): Problems {
  const dataset = level('chain-arithmetic', ...levels, split);
  const rows = Array.from({ length: dataset.length }, (_, index): PromptRow => {
    const entry = dataset.entry(index);
    const pair = answerPair(entry, index);
    const { prompt, verdict } = judgedPair(pair);
    const { question, chosen, rejected } = pair;
    const steps = [...judgingSteps(pair)];
    const solution = writeSolution(steps, verdict);
    return { prompt, answer: verdict, question, chosen, rejected, solution, steps, difficulty: entry.difficulty, task: 'pairs', index };
  });
  return {
    fingerprint: hashOf([dataset.fingerprint, rows.map(({ prompt, answer }) => [prompt, answer])]),
    rows,
    judge: (completion, { answer }) => (extractAnswer(completion) === answer ? 1 : 0),
    answer: extractAnswer,
    chain: (completion, { steps }) => extractSteps(completion).join() === (steps as string[]).join(),
  };
}

/** A budget of generated tokens rather than of steps: a verdict at once costs 3 tokens, one after a thought some 25. */
export const pairwiseJudging = make({
  id: 'pairwise-judging',
  summary:
    'which of two answers to chain arithmetic of 2 and 3 operations is right; the base says so at once, or behind ! after a careless thought',
  metric: 'pass@1',
  base: judgingBase,
  data: () => ({
    train: pairProblems('train'),
    evaluation: [{ name: '', problems: pairProblems('test'), samples: 8, max_completion_length: 48 }],
  }),
  args: { max_steps: 500, max_generated_tokens: 100_000 },
  settings: { max_completion_length: 48, beta: 0, rrm_template: judgingForm.template, rrm_ask: judgingForm.ask },
});
