import type { Row } from '../../data/dataset/dataset.js';
import { datasetFromRows } from '../../data/dataset/memory.js';
import type { JsonValue } from '../../data/stream/batch.js';
import { createDataset, gsm8k, scoreCompletion, type TaskDataset, type TaskEntry, taskNames } from '../../data/tasks/index.js';
import { applyChatTemplate, type ChatMessage } from '../../models/index.js';
import { VitroError } from '../../tensor/errors.js';
import type { NamedReward } from '../../train/rl/contract.js';
import type { PromptRow } from '../../train/rl/prompts.js';
import { nearestName, UsageError } from '../names.js';
import { openRows, splitRows } from '../training/dataRows.js';
import type { StartingModel } from '../training/startingModel.js';
import type { RlConfig } from './config.js';

/** Problems of a run: what trains, what is only measured, and the verifier where the problems have one. */
export interface Problems {
  readonly name: string;
  readonly train: readonly PromptRow[];
  readonly evaluation: readonly PromptRow[];
  readonly verifier: NamedReward | undefined;
  /** what names the problems */
  readonly fingerprint: Readonly<Record<string, unknown>>;
  readonly notes: readonly string[];
}

/** A problem of a task as a row: its columns reach rewards and methods. */
const taskRow = ({ prompt, solution, answer, steps, difficulty, skills, metadata }: TaskEntry, task: string): PromptRow => ({
  prompt,
  answer,
  solution,
  steps: [...steps],
  difficulty,
  task,
  metadata: { ...metadata },
  ...(skills ? { skills: [...skills] } : {}),
});

/** 1 for a right final answer, by the task's own verifier; null for problems that it did not make. */
function verifierOf(dataset: TaskDataset): NamedReward {
  const at = (columns: Readonly<Record<string, readonly JsonValue[]>>, name: string, i: number): JsonValue => columns[name]?.[i] ?? null;
  return {
    name: 'verifier',
    score: (prompts, completions, columns) =>
      completions.map((completion, i) => {
        const answer = at(columns, 'answer', i);
        if (typeof answer !== 'string') return null;
        return scoreCompletion(dataset, completion, {
          prompt: prompts[i] ?? '',
          answer,
          solution: String(at(columns, 'solution', i) ?? ''),
          steps: (at(columns, 'steps', i) ?? []) as readonly string[],
          difficulty: Number(at(columns, 'difficulty', i) ?? 0),
          metadata: (at(columns, 'metadata', i) ?? {}) as TaskEntry['metadata'],
        });
      }),
  };
}

const rowsOf = (dataset: TaskDataset): PromptRow[] =>
  Array.from({ length: dataset.length }, (_, i) => taskRow(dataset.entry(i), dataset.id));

async function gsm8kProblems(config: RlConfig): Promise<Problems> {
  const { task_settings, dataset_name, eval_dataset_name, max_eval_samples, validation_fraction, seed } = config;
  const { annotations, ...unknown } = task_settings ?? {};
  const [wrong] = Object.keys(unknown);
  if (wrong !== undefined) throw new UsageError(`task_settings: gsm8k has no setting ${wrong}; it has annotations`);
  if (dataset_name === undefined)
    throw new UsageError('task gsm8k reads problems from dataset_name: a jsonl or parquet file with the columns question and answer');
  const open = (path: string): Promise<TaskDataset> => gsm8k({ path, ...(annotations === true ? { annotations } : {}) });
  const all = await open(dataset_name);
  const held = eval_dataset_name === undefined ? undefined : await open(eval_dataset_name);
  const { train, validation } = held
    ? { train: rowsOf(all), validation: rowsOf(held).slice(0, max_eval_samples) }
    : splitRows(rowsOf(all), validation_fraction, max_eval_samples, seed);
  return {
    name: 'gsm8k',
    train: train as PromptRow[],
    evaluation: validation as PromptRow[],
    verifier: verifierOf(all),
    fingerprint: { train: all.fingerprint, evaluation: held?.fingerprint ?? { fraction: validation_fraction, rows: validation.length } },
    notes: [],
  };
}

/** Generated problems: the evaluation's are of the split test, which shares none with those that train. */
function generatedProblems(task: string, config: RlConfig): Problems {
  const { task_settings = {}, task_size, max_eval_samples, validation_fraction, seed } = config;
  if (!(taskNames as readonly string[]).includes(task)) {
    const near = nearestName(task, [...taskNames, 'gsm8k']);
    throw new UsageError(`unknown task "${task}"${near ? `; did you mean "${near}"?` : ''} Known: ${[...taskNames, 'gsm8k'].join(', ')}.`);
  }
  if (config.dataset_name !== undefined) throw new UsageError('task and dataset_name are both given; give one of them');
  try {
    const train = createDataset(task, { ...task_settings, size: task_size, seed });
    const held = createDataset(task, { ...task_settings, split: 'test', size: max_eval_samples, seed: seed + 1 });
    const evaluates = validation_fraction > 0;
    return {
      name: task,
      train: rowsOf(train),
      evaluation: evaluates ? rowsOf(held) : [],
      verifier: verifierOf(train),
      fingerprint: { train: train.fingerprint, evaluation: evaluates ? held.fingerprint : null },
      notes: [],
    };
  } catch (error) {
    if (error instanceof VitroError && !(error instanceof UsageError)) throw new UsageError(`task_settings: ${error.message}`);
    throw error;
  }
}

/** The prompt of a row as text: conversations by the model's template, up to the opening of the assistant's turn. */
function promptText(value: unknown, where: string, { chat_template, tokenizer, name }: StartingModel): string {
  if (typeof value === 'string') return value;
  if (!Array.isArray(value) || !value.every((m) => typeof (m as ChatMessage)?.role === 'string'))
    throw new UsageError(
      `${where}: prompt must be a text or a list of messages {role, content}, got ${JSON.stringify(value)?.slice(0, 80)}`,
    );
  if (!chat_template) throw new UsageError(`the prompts are messages, but ${name} has no chat template; give chat_template_path`);
  const text = applyChatTemplate(value as ChatMessage[], { ...chat_template, add_generation_prompt: true });
  // the loop lets the tokenizer add its own bos
  const bos = chat_template.bos_token;
  const addsBos = tokenizer.bos_token_id !== null && tokenizer.encode('', { add_special_tokens: true })[0] === tokenizer.bos_token_id;
  return addsBos && bos !== undefined && text.startsWith(bos) ? text.slice(bos.length) : text;
}

async function fileProblems(config: RlConfig, start: StartingModel): Promise<Problems> {
  if (config.dataset_name === undefined)
    throw new UsageError(`no problems to train on; give dataset_name, e.g. --dataset_name prompts.jsonl, or task, e.g. --task countdown`);
  const rows = await openRows(config, { chat: start.chat_template !== undefined });
  const first = rows.train[0] ?? {};
  if (first.prompt === undefined) {
    const columns = Object.keys(first);
    const hint =
      columns.includes('question') && columns.includes('answer') ? '; for GSM8K add --task gsm8k' : `; its columns: ${columns.join(', ')}`;
    throw new UsageError(`${config.dataset_name} has no column "prompt"${hint}`);
  }
  const prompts = (own: readonly Row[]): PromptRow[] =>
    own.map((row, i) => ({ ...(row as Record<string, JsonValue>), prompt: promptText(row.prompt, `row ${i}`, start) }));
  const train = prompts(rows.train);
  const evaluation = prompts(rows.validation);
  const digest = (own: readonly PromptRow[]): string | null => (own.length > 0 ? datasetFromRows(own).fingerprint : null);
  return {
    name: rows.name,
    train,
    evaluation,
    verifier: undefined,
    fingerprint: { train: digest(train), evaluation: digest(evaluation) },
    notes: [],
  };
}

/** Prompts that leave no room for a completion are left out. */
function fitting(rows: readonly PromptRow[], { model, tokenizer }: StartingModel): PromptRow[] {
  return rows.filter(({ prompt }) => tokenizer.encode(prompt, { add_special_tokens: true }).length < model.context);
}

/** The problems that a configuration names. */
export async function problemsOf(config: RlConfig, start: StartingModel): Promise<Problems> {
  const { task } = config;
  const problems =
    task === undefined
      ? await fileProblems(config, start)
      : task === 'gsm8k'
        ? await gsm8kProblems(config)
        : generatedProblems(task, config);
  const train = fitting(problems.train, start);
  const lost = problems.train.length - train.length;
  if (train.length === 0) throw new UsageError(`every prompt is longer than the context of ${start.name}, ${start.model.context} tokens`);
  const notes =
    lost > 0 ? [`${lost} of ${problems.train.length} problems fill the context of ${start.model.context} tokens and were left out.`] : [];
  return { ...problems, train, evaluation: fitting(problems.evaluation, start), notes: [...problems.notes, ...notes] };
}
