import { Draws } from '../../data/probes/draws.js';
import { createDataset, type TaskDocument, type TaskEntry, writeSolution } from '../../data/tasks/index.js';
import { type JudgeForm, pairText } from '../../evaluate/generativeJudge.js';
import { foldIn, randomKey } from '../../tensor/random/threefry.js';
import type { BaseModel } from './base.js';
import { furtherTraining, smallDecoder, tasksBase } from './index.js';

/** Pairs of answers to parity, one of them right, and a base that judges them: at once, or after going through the bits. */

const pairKey = randomKey(0x70616972);

/** How pairs are put to the base; ! asks for the running parity first. */
export const judgingForm: JudgeForm = { template: '{question}?{first}A|{second}B', ask: '!', labels: ['A', 'B'] };

export interface AnswerPair {
  /** the bits */
  readonly question: string;
  readonly chosen: string;
  readonly rejected: string;
  /** whether the right answer stands first */
  readonly chosenFirst: boolean;
}

/** The pair of entry i of parity. */
export function answerPair({ prompt, answer }: Pick<TaskEntry, 'prompt' | 'answer'>, i: number): AnswerPair {
  const chosenFirst = new Draws(foldIn(foldIn(pairKey, 0), i)).below(2) === 0;
  return { question: prompt.slice(0, -1), chosen: answer, rejected: answer === '0' ? '1' : '0', chosenFirst };
}

/** A pair in the order that it was drawn in, and the verdict that is right. */
export function judgedPair({ question, chosen, rejected, chosenFirst }: AnswerPair): { readonly prompt: string; readonly verdict: string } {
  const [first, second] = chosenFirst ? [chosen, rejected] : [rejected, chosen];
  return { prompt: pairText(judgingForm.template, { question, first, second }), verdict: judgingForm.labels[chosenFirst ? 0 : 1] };
}

/** The thought that gives a verdict: the running parity of the bits and of the first answer, 0 in the end where they agree. `slips` turns a step's parity. */
export function judgingSteps({ question, chosen, rejected, chosenFirst }: AnswerPair, slips: () => boolean): readonly string[] {
  let parity = 0;
  return [...question, chosenFirst ? chosen : rejected].map((bit) => {
    parity ^= Number(bit) ^ (slips() ? 1 : 0);
    return `${bit}:${parity}`;
  });
}

/** Chance that a step is wrong. */
const slip = 0.1;

/** Behind ! a careless thought and the verdict that follows from it; in every eighth document the right verdict at once. */
function judgingDocument(entry: TaskEntry, i: number): TaskDocument {
  const pair = answerPair(entry, i);
  const { prompt, verdict } = judgedPair(pair);
  if (i % 8 === 0) return { prompt, completion: writeSolution([], verdict) };
  const draws = new Draws(foldIn(foldIn(pairKey, 1), i));
  const steps = judgingSteps(pair, () => draws.unit() < slip);
  const own = judgingForm.labels[steps.at(-1)?.endsWith('0') ? 0 : 1];
  return { prompt: prompt + judgingForm.ask, completion: writeSolution(steps, own) };
}

const dataset = () => createDataset('parity', { size: 6000, seed: 22, min_difficulty: 3, max_difficulty: 9 });

export const judgingBase: BaseModel = {
  id: 'judging-s',
  summary: 'tasks-s, fine-tuned on verdicts about two answers to parity: at once, or behind ! after a careless thought',
  config: smallDecoder,
  training: { ...furtherTraining, max_steps: 150 },
  start: tasksBase,
  data: {
    tasks: 'pairs of answers to parity 3-9',
    form: 'parity of bits and first answer, then verdict',
    slip,
    fingerprint: dataset().fingerprint,
  },
  documents: () => {
    const entries = dataset();
    return Array.from({ length: entries.length }, (_, i) => judgingDocument(entries.entry(i), i));
  },
};
