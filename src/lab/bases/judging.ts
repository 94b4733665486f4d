import { Draws } from '../../data/probes/draws.js';
import { answerMarker, createDataset, type TaskDocument, type TaskEntry, writeSolution } from '../../data/tasks/index.js';
import { type JudgeForm, pairText } from '../../evaluate/generativeJudge.js';
import { foldIn, randomKey } from '../../tensor/random/threefry.js';
import type { BaseModel } from './base.js';
import { furtherTraining, smallDecoder, tasksBase } from './index.js';
import { noisyDocument } from './styles.js';

/** Pairs of answers to chain arithmetic, one of them right, and a base that judges them: at once, or after working the problem out. */

const pairKey = randomKey(0x70616972);

/** How pairs are put to the base: every answer with its verdict behind it, which is looked up in the end; ! asks for the worked solution first. */
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

/** The answer of a chain in which the result of one operation slipped by 1, 2 or 3 and the rest was worked out from there. */
function slipped(operations: readonly string[], start: number, draws: Draws): number {
  const at = draws.below(operations.length);
  const slip = (1 + draws.below(3)) * (draws.below(2) === 0 ? 1 : -1);
  return operations.reduce((value, operation, i) => applied(value, operation) + (i === at ? slip : 0), start);
}

/** The pair of entry i of chain arithmetic: both answers lie in [0, 99], and their last digits differ. */
export function answerPair({ prompt, answer, metadata }: Pick<TaskEntry, 'prompt' | 'answer' | 'metadata'>, i: number): AnswerPair {
  const draws = new Draws(foldIn(pairKey, i));
  const operations = metadata.operations as string[];
  let wrong = -1;
  while (wrong < 0 || wrong > 99 || (wrong - Number(answer)) % 10 === 0) wrong = slipped(operations, metadata.start as number, draws);
  return { question: prompt.slice(0, -1), chosen: answer, rejected: `${wrong}`, chosenFirst: draws.below(2) === 0 };
}

/** A pair in the order that it was drawn in, and the verdict that is right. */
export function judgedPair({ question, chosen, rejected, chosenFirst }: AnswerPair): { readonly prompt: string; readonly verdict: string } {
  const [first, second] = chosenFirst ? [chosen, rejected] : [rejected, chosen];
  return { prompt: pairText(judgingForm.template, { question, first, second }), verdict: judgingForm.labels[chosenFirst ? 0 : 1] };
}

/**
 * Behind ! a careless chain with the verdict of its result, `9*5=45B#B`: that of the answer which it equals, or any where it equals none. In every eighth document
 * the right verdict at once.
 */
function judgingDocument(entry: TaskEntry, i: number): TaskDocument {
  const pair = answerPair(entry, i);
  const { prompt, verdict } = judgedPair(pair);
  if (i % 8 === 0) return { prompt, completion: writeSolution([], verdict) };
  const [chain, said] = noisyDocument(entry, i).completion.split(answerMarker) as [string, string];
  const { labels, ask } = judgingForm;
  const [right, wrong] = pair.chosenFirst ? labels : [labels[1], labels[0]];
  const any = labels[new Draws(foldIn(foldIn(pairKey, 1), i)).below(2)] as string;
  const own = said === pair.chosen ? right : said === pair.rejected ? wrong : any;
  return { prompt: prompt + ask, completion: writeSolution([chain + own], own) };
}

const dataset = () => createDataset('chain-arithmetic', { size: 12_000, seed: 22, min_difficulty: 1, max_difficulty: 3 });

export const judgingBase: BaseModel = {
  id: 'judging-s',
  summary: 'tasks-s, fine-tuned on verdicts about two answers to chain arithmetic: at once, or behind ! after a careless solution',
  config: smallDecoder,
  training: furtherTraining,
  start: tasksBase,
  data: { tasks: 'pairs of answers to chain-arithmetic 1-3', form: 'careless chain, then verdict', fingerprint: dataset().fingerprint },
  documents: () => {
    const entries = dataset();
    return Array.from({ length: entries.length }, (_, i) => judgingDocument(entries.entry(i), i));
  },
};
