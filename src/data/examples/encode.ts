import { createHash } from 'node:crypto';
import type { Tokenizer } from '../../contracts/index.js';
import type { ChatTemplateOptions } from '../../models/tokenizer/chatTemplate.js';
import { DataError, type Dataset, type Row, requireColumns } from '../dataset/dataset.js';
import { type Example, type ExampleSet, exampleSet, type Sequence } from './example.js';
import { type Content, contentOf, conversation, type Piece, promptAndCompletion, sharedPrompt } from './texts.js';

/** What the rows of a dataset are, by TRL's names: `messages` | `prompt, completion` | `text`; `prompt, chosen, rejected`; `prompt, completion, label`; `prompt, completions, labels`. */
export type ExampleKind = 'sft' | 'preference' | 'unpaired' | 'stepwise';

export interface EncodeExamplesOptions {
  readonly kind: ExampleKind;
  /** longer sequences lose their ends; examples that are left without anything to train on are dropped */
  readonly max_length: number;
  /** sft with prompts: only completions are trained on. Default true */
  readonly completion_only_loss?: boolean;
  /** sft with messages: only what the assistant says is trained on. Default true */
  readonly assistant_only_loss?: boolean;
  /** ends plain texts with the tokenizer's eos; default: where it has one. Chat templates end turns themselves */
  readonly append_eos?: boolean;
  /** template of datasets that hold messages */
  readonly chat_template?: ChatTemplateOptions;
  /** columns of numbers (or of equally long lists of numbers) that the loss reads */
  readonly columns?: readonly string[];
  /** stepwise: what stands between two steps. Default a line feed */
  readonly step_separator?: string;
  /** unpaired: adds to each example its prompt with the next example's completion, for the estimate of the divergence. Default true */
  readonly mismatched?: boolean;
}

export interface EncodedExamples extends ExampleSet {
  /** sequences that lost their ends */
  readonly truncated: number;
  /** examples that were left without anything to train on */
  readonly dropped: number;
}

interface Encoder {
  readonly tokenizer: Tokenizer;
  readonly options: EncodeExamplesOptions;
  readonly eos: number | null;
  truncated: number;
}

/** Encodes pieces one by one, as generation does: a prompt's ids do not depend on what follows. */
function encodePieces(encoder: Encoder, pieces: readonly Piece[], plain: boolean, labels?: readonly number[]): Sequence {
  const ids: number[] = [];
  const trained: number[] = [];
  const steps: number[] = [];
  let step = 0;
  for (const { text, trained: on } of pieces) {
    const own = encoder.tokenizer.encode(text);
    ids.push(...own);
    trained.push(...Array.from(own, () => (on ? 1 : 0)));
    steps.push(...Array.from(own, (_, i) => (on && i === own.length - 1 ? (labels?.[step++] ?? -1) : -1)));
  }
  if (plain && encoder.eos !== null && ids.at(-1) !== encoder.eos) {
    ids.push(encoder.eos);
    trained.push(pieces.at(-1)?.trained ? 1 : 0);
    steps.push(-1);
  }
  const n = Math.min(ids.length, encoder.options.max_length);
  if (n < ids.length) encoder.truncated++;
  return {
    ids: Int32Array.from(ids.slice(0, n)),
    trained: Uint8Array.from(trained.slice(0, n), (on, i) => (i === 0 ? 0 : on)),
    ...(labels ? { values: { step_labels: Float32Array.from(steps.slice(0, n)) } } : {}),
  };
}

/** A prompt, which is context, and a completion, which is trained on. */
function completionOf(encoder: Encoder, prompt: Content, completion: Content, promptTrained = false): Sequence {
  const [asked, answered] = promptAndCompletion(prompt, completion, encoder.options.chat_template);
  const pieces = [
    { text: asked, trained: promptTrained },
    { text: answered, trained: true },
  ];
  return encodePieces(encoder, pieces, typeof prompt === 'string');
}

function supervised(encoder: Encoder, row: Row, where: string): Sequence[] {
  const { completion_only_loss = true, assistant_only_loss = true, chat_template } = encoder.options;
  if (row.messages !== undefined && row.messages !== null) {
    const messages = contentOf(row, 'messages', where);
    if (typeof messages === 'string') throw new DataError(`${where}: messages must be a list`);
    return [encodePieces(encoder, conversation(messages, chat_template, assistant_only_loss), false)];
  }
  if (row.completion !== undefined)
    return [completionOf(encoder, contentOf(row, 'prompt', where), contentOf(row, 'completion', where), !completion_only_loss)];
  const text = row.text;
  if (typeof text !== 'string') throw new DataError(`${where}: text must be a text, got ${JSON.stringify(text)?.slice(0, 80)}`);
  return [encodePieces(encoder, [{ text, trained: true }], true)];
}

function preference(encoder: Encoder, row: Row, where: string): Sequence[] {
  const [better, worse] = [contentOf(row, 'chosen', where), contentOf(row, 'rejected', where)];
  const { prompt, chosen, rejected } =
    row.prompt === undefined || row.prompt === null
      ? sharedPrompt(better, worse)
      : { prompt: contentOf(row, 'prompt', where), chosen: better, rejected: worse };
  return [completionOf(encoder, prompt, chosen), completionOf(encoder, prompt, rejected)];
}

function stepwise(encoder: Encoder, row: Row, where: string): Sequence[] {
  const { completions, labels } = row;
  if (!(Array.isArray(completions) && Array.isArray(labels) && completions.length === labels.length))
    throw new DataError(`${where}: completions and labels must be lists of one length`);
  const { step_separator = '\n' } = encoder.options;
  const prompt = contentOf(row, 'prompt', where);
  if (typeof prompt !== 'string') throw new DataError(`${where}: the prompt of stepwise data must be a text`);
  const pieces = completions.map((text) => ({ text: `${String(text)}${step_separator}`, trained: true }));
  return [
    encodePieces(
      encoder,
      [{ text: prompt, trained: false }, ...pieces],
      true,
      labels.map((l) => (l ? 1 : 0)),
    ),
  ];
}

const required: Readonly<Record<ExampleKind, (columns: readonly string[]) => readonly string[]>> = {
  sft: (columns) => (columns.includes('messages') ? ['messages'] : columns.includes('completion') ? ['prompt', 'completion'] : ['text']),
  preference: () => ['chosen', 'rejected'],
  unpaired: () => ['prompt', 'completion', 'label'],
  stepwise: () => ['prompt', 'completions', 'labels'],
};

/** Booleans as 0 and 1, and the same of the texts that csv files hold. */
function asNumber(x: unknown): unknown {
  if (typeof x === 'boolean') return Number(x);
  if (typeof x !== 'string' || x.trim() === '') return x;
  if (/^(true|false)$/i.test(x)) return x.toLowerCase() === 'true' ? 1 : 0;
  const value = Number(x);
  return Number.isNaN(value) ? x : value;
}

function numbersOf(row: Row, names: readonly string[], where: string): Record<string, number[]> {
  return Object.fromEntries(
    names.map((name) => {
      const value = row[name];
      const list = (Array.isArray(value) ? value : [value]).map(asNumber);
      if (!list.every((x) => typeof x === 'number'))
        throw new DataError(`${where}: ${name} must be a number or a list of numbers, got ${JSON.stringify(value)}`);
      return [name, list as number[]];
    }),
  );
}

/** Reads a dataset with TRL's columns into examples. */
export async function encodeExamples(dataset: Dataset, tokenizer: Tokenizer, options: EncodeExamplesOptions): Promise<EncodedExamples> {
  const { kind, max_length, append_eos = tokenizer.eos_token_id !== null, columns = [], mismatched = true } = options;
  if (!(Number.isSafeInteger(max_length) && max_length > 1))
    throw new DataError(`max_length must be a whole number above 1, got ${max_length}`);
  if (append_eos && tokenizer.eos_token_id === null) throw new DataError('append_eos: the tokenizer has no eos token');
  requireColumns('the dataset', [...required[kind](dataset.columns), ...columns], dataset.columns);
  const encoder: Encoder = { tokenizer, options, eos: append_eos ? tokenizer.eos_token_id : null, truncated: 0 };
  const rows: { readonly row: Row; readonly where: string }[] = [];
  for await (const row of dataset.rows()) rows.push({ row, where: `row ${rows.length}` });
  const makers: Record<ExampleKind, (row: Row, where: string, i: number) => Sequence[]> = {
    sft: (row, where) => supervised(encoder, row, where),
    preference: (row, where) => preference(encoder, row, where),
    stepwise: (row, where) => stepwise(encoder, row, where),
    unpaired: (row, where, i) => {
      const prompt = contentOf(row, 'prompt', where);
      const other = rows[(i + 1) % rows.length] as (typeof rows)[number];
      const own = completionOf(encoder, prompt, contentOf(row, 'completion', where));
      return mismatched ? [own, completionOf(encoder, prompt, contentOf(other.row, 'completion', other.where))] : [own];
    },
  };
  const named = kind === 'unpaired' ? [...new Set([...columns, 'label'])] : columns;
  const examples: Example[] = [];
  for (const [i, { row, where }] of rows.entries()) {
    const sequences = makers[kind](row, where, i);
    if (sequences.every(({ trained }) => trained.includes(1))) examples.push({ sequences, columns: numbersOf(row, named, where) });
  }
  const { chat_template, ...rest } = options;
  const content = {
    version: 1,
    dataset: dataset.fingerprint,
    tokenizer: tokenizer.fingerprint,
    ...rest,
    chat: String(chat_template?.template),
  };
  const fingerprint = createHash('sha256').update(JSON.stringify(content)).digest('hex');
  return { ...exampleSet(examples, fingerprint), truncated: encoder.truncated, dropped: rows.length - examples.length };
}
