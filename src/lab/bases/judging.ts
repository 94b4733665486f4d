import { Draws } from '../../data/probes/draws.js';
import { createDataset, type TaskDocument, type TaskEntry, writeSolution } from '../../data/tasks/index.js';
import { type JudgeForm, pairText } from '../../evaluate/generativeJudge.js';
import { foldIn, randomKey } from '../../tensor/random/threefry.js';
import type { BaseModel } from './base.js';
import { furtherTraining, smallDecoder, tasksBase } from './index.js';

/** Pairs of answers to chain arithmetic, one of them right, and a base that judges them: at once, or after working the problem out. */

const pairKey = randomKey(0x70616972);

/** How pairs are put to the base; ! asks for a thought first. */
export const judgingForm: JudgeForm = { template: '{question}?{first}A|{second}B', ask: '!', labels: ['A', 'B'] };

export interface AnswerPair {
  /** the problem without its = */
  readonly question: string;
  readonly chosen: string;
  readonly rejected: string;
  /** whether the right answer stands first */
  readonly chosenFirst: boolean;
}

/** An operation of a chain, `*2`, on a value. */
function applied(value: number, operation: string): number {
  const operand = Number(operation.slice(1));
  return operation.startsWith('+') ? value + operand : operation.startsWith('-') ? value - operand : value * operand;
}

/** The answer of a chain in which the result of one operation slipped by 1 to 3 and the rest was worked out from there. */
function slipped(operations: readonly string[], start: number, draws: Draws): number {
  const at = draws.below(operations.length);
  const slip = (1 + draws.below(3)) * (draws.below(2) === 0 ? 1 : -1);
  return operations.reduce((value, operation, i) => applied(value, operation) + (i === at ? slip : 0), start);
}

/** The pair of entry i of chain arithmetic: both answers lie in [0, 99], and their last digits differ. */
export function answerPair({ prompt, answer, metadata }: Pick<TaskEntry, 'prompt' | 'answer' | 'metadata'>, i: number): AnswerPair {
  const draws = new Draws(foldIn(foldIn(pairKey, 0), i));
  const operations = metadata.operations as string[];
  let wrong = -1;
  while (wrong < 0 || wrong > 99 || (wrong - Number(answer)) % 10 === 0) wrong = slipped(operations, metadata.start as number, draws);
  return { question: prompt.slice(0, -1), chosen: answer, rejected: `${wrong}`, chosenFirst: draws.below(2) === 0 };
}

const firstOf = ({ chosen, rejected, chosenFirst }: AnswerPair): string => (chosenFirst ? chosen : rejected);

/** A pair in the order that it was drawn in, and the verdict that is right. */
export function judgedPair(pair: AnswerPair): { readonly prompt: string; readonly verdict: string } {
  const { question, chosen, rejected, chosenFirst } = pair;
  const second = chosenFirst ? rejected : chosen;
  return {
    prompt: pairText(judgingForm.template, { question, first: firstOf(pair), second }),
    verdict: judgingForm.labels[chosenFirst ? 0 : 1],
  };
}

/**
 * The thought that gives a verdict: the problem worked out, then its distance from the last digit of the first answer, which ends in 0 where they agree:
 * `9*5=45;45-4=41` about 44. `slip` is added to the result of a step.
 */
export function judgingSteps(pair: AnswerPair, slip: () => number = () => 0): readonly string[] {
  const [start, ...operations] = pair.question.split(',') as [string, ...string[]];
  let value = Number(start);
  return [...operations, `-${firstOf(pair).at(-1)}`].map((operation) => {
    const before = value;
    value = Math.max(0, Math.abs(applied(value, operation)) + slip());
    return `${before}${operation}=${value}`;
  });
}

/** Chance that a step is off by 1 to 9. */
const slipRate = 0.25;

/** Behind ! a careless thought and the verdict that follows from it; in every eighth document the right verdict at once. */
function judgingDocument(entry: TaskEntry, i: number): TaskDocument {
  const pair = answerPair(entry, i);
  const { prompt, verdict } = judgedPair(pair);
  if (i % 8 === 0) return { prompt, completion: writeSolution([], verdict) };
  const draws = new Draws(foldIn(foldIn(pairKey, 1), i));
  const slip = (): number => (draws.unit() < slipRate ? (draws.below(2) === 0 ? 1 : -1) * (1 + draws.below(9)) : 0);
  const steps = judgingSteps(pair, slip);
  const own = judgingForm.labels[steps.at(-1)?.endsWith('0') ? 0 : 1];
  return { prompt: prompt + judgingForm.ask, completion: writeSolution(steps, own) };
}

const dataset = () => createDataset('chain-arithmetic', { size: 12_000, seed: 22, min_difficulty: 1, max_difficulty: 4 });

export const judgingBase: BaseModel = {
  id: 'judging-s',
  summary: 'tasks-s, fine-tuned on verdicts about two answers to chain arithmetic: at once, or behind ! after a careless thought',
  config: smallDecoder,
  training: { ...furtherTraining, max_steps: 200 },
  start: tasksBase,
  data: {
    tasks: 'pairs of answers to chain-arithmetic 1-4',
    form: 'chain and last digit, then verdict',
    slipRate,
    fingerprint: dataset().fingerprint,
  },
  documents: () => {
    const entries = dataset();
    return Array.from({ length: entries.length }, (_, i) => judgingDocument(entries.entry(i), i));
  },
};
