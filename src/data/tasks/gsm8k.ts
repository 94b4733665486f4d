import { VitroError } from '../../tensor/errors.js';
import { DataError } from '../dataset/dataset.js';
import { openDataset } from '../dataset/open.js';
import { sourceFingerprint } from '../stream/batch.js';
import { extractMathAnswer, mathVerifier } from './math/verifier.js';
import { exactSteps, type TaskDataset, type TaskEntry } from './task.js';

export interface Gsm8kOptions {
  /** a file of GSM8K's rows {question, answer}: jsonl, jsonl.gz or parquet */
  readonly path: string;
  /** the first `size` problems; default all */
  readonly size?: number;
  /** keep the calculator's annotations, <<48/2=24>>; default false */
  readonly annotations?: boolean;
}

/** typographic characters of the files in ASCII */
const plain: Readonly<Record<string, string>> = {
  '’': "'",
  '‘': "'",
  '“': '"',
  '”': '"',
  '–': '-',
  '—': '-',
  '−': '-',
  '×': '*',
  '÷': '/',
  '…': '...',
};

const toAscii = (text: string): string => text.replace(/[^\n\x20-\x7e]/g, (c) => plain[c] ?? ' ').trim();

function entryOf(question: string, answer: string, annotations: boolean, where: string): TaskEntry {
  const at = answer.lastIndexOf('####');
  if (at < 0) throw new DataError(`${where}: the answer has no "####" before its result: ${JSON.stringify(answer.slice(-60))}`);
  const chain = toAscii(annotations ? answer.slice(0, at) : answer.slice(0, at).replace(/<<[^<>\n]{0,200}>>/g, ''));
  const result = answer.slice(at + 4).trim();
  const steps = chain.split('\n').map((line) => line.trim());
  const difficulty = Math.max(1, answer.split('<<').length - 1);
  return {
    prompt: `${toAscii(question)}\n`,
    solution: `${steps.join('\n')}\n#### ${result}`,
    answer: result,
    steps,
    difficulty,
    metadata: {},
  };
}

/**
 * GSM8K (Cobbe et al. 2021, arXiv:2110.14168) as a dataset of tasks: answers are compared by value (mathVerifier), difficulty is the number of calculations in
 * the reference. Texts are made ASCII.
 * @throws DataError where a row is not one of GSM8K
 */
export async function gsm8k({ path, size, annotations = false }: Gsm8kOptions): Promise<TaskDataset> {
  const data = await openDataset({ path, columns: ['question', 'answer'] });
  const entries: TaskEntry[] = [];
  for await (const { question, answer } of data.rows({ end: size })) {
    const where = `${path}, row ${entries.length}`;
    if (typeof question !== 'string' || typeof answer !== 'string') throw new DataError(`${where}: question and answer must be texts`);
    entries.push(entryOf(question, answer, annotations, where));
  }
  const settings = { annotations };
  return {
    id: 'gsm8k',
    settings,
    length: entries.length,
    fingerprint: sourceFingerprint({ kind: 'gsm8k', data: data.fingerprint, size: entries.length, annotations }),
    entry(i) {
      const found = entries[i];
      if (!found) throw new VitroError(`gsm8k: entry ${i} is not one of the ${entries.length} entries`);
      return found;
    },
    extract: extractMathAnswer,
    score: (answer, entry) => mathVerifier(`#### ${answer}`, entry.answer),
    judgeSteps(completion, entry) {
      const end = completion.lastIndexOf('####');
      const lines = completion
        .slice(0, end < 0 ? undefined : end)
        .trim()
        .split('\n');
      return exactSteps(lines, entry);
    },
  };
}
