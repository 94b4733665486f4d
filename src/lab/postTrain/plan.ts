import type { Row } from '../../data/dataset/dataset.js';
import { datasetFromRows } from '../../data/dataset/memory.js';
import {
  type EncodedExamples,
  type ExampleSet,
  type ExampleSource,
  encodeExamples,
  exampleBatches,
  exampleSource,
  type SequenceBatch,
  trainedTokens,
} from '../../data/examples/index.js';
import { countParams } from '../../nn/init.js';
import type { ScheduleMethod } from '../../optim/schedule/index.js';
import type { OptimizerMethod } from '../../optim/transform/index.js';
import { foldIn, randomKey } from '../../tensor/random/threefry.js';
import type { PostTrainArguments } from '../../train/postTrain.js';
import { readsReference } from '../../train/prefer/index.js';
import { withReferenceLogps } from '../../train/prefer.js';
import type { Chosen } from '../../train/step.js';
import { UsageError } from '../names.js';
import { partOf, type Recipe } from '../recipe.js';
import { openRows } from '../training/dataRows.js';
import { rhythmOf } from '../training/rhythm.js';
import { fineTuningParts } from '../training/slotChoice.js';
import { type StartingModel, startingModel } from '../training/startingModel.js';
import type { PostTrainConfig, PostTrainVerb } from './config.js';
import { dataOf, type Losses, lossesOf, verbs } from './verbs.js';

/** What a run will do, for people before they start it. */
export interface PostTrainFigures {
  readonly parameters: number;
  readonly vocab_size: number;
  readonly examples: number;
  readonly validation_examples: number;
  /** tokens of the examples that are trained on */
  readonly trained_tokens: number;
  /** tokens of a row */
  readonly context: number;
  readonly rows: number;
  readonly steps: number;
  readonly epochs: number;
  readonly learning_rate: number;
}

/** Everything that a run needs, resolved from its configuration. */
export interface PostTrainPlan {
  readonly verb: PostTrainVerb;
  readonly config: PostTrainConfig;
  readonly losses: Losses;
  /** by which output folders are named */
  readonly name: string;
  readonly start: StartingModel;
  readonly recipe: Recipe;
  readonly optimizer: Chosen<OptimizerMethod>;
  readonly schedule: Chosen<ScheduleMethod>;
  readonly args: PostTrainArguments;
  readonly data: ExampleSource;
  readonly evaluation: readonly SequenceBatch[];
  /** what determines the run's bits, seed and recipe aside */
  readonly task: Readonly<Record<string, unknown>>;
  readonly max_length: number;
  readonly figures: PostTrainFigures;
  /** what the user should know about the data */
  readonly notes: readonly string[];
}

export interface PlanHooks {
  readonly onStage?: (what: string) => void;
}

export const unescaped = (text: string): string => text.replaceAll('\\n', '\n').replaceAll('\\t', '\t');

function maxLengthOf({ max_length }: PostTrainConfig, { model, name }: StartingModel): number {
  if (max_length === undefined) return Math.min(1024, model.context);
  if (max_length > model.context) throw new UsageError(`max_length: ${max_length} is longer than the context of ${name}, ${model.context}`);
  return max_length;
}

const longestOf = ({ examples }: ExampleSet): number =>
  examples.reduce((n, { sequences }) => Math.max(n, ...sequences.map(({ ids }) => ids.length)), 0);

const allTokens = ({ examples }: ExampleSet): number =>
  examples.reduce((n, { sequences }) => n + sequences.reduce((k, { ids }) => k + ids.length, 0), 0);

/** Rows of several lengths are padded to a length that kernels like. */
const roundUp = (n: number, to: number): number => Math.ceil(n / to) * to;

function encoder(losses: Losses, config: PostTrainConfig, start: StartingModel, max_length: number) {
  const { kind, columns } = dataOf(losses);
  return async (rows: readonly Row[]): Promise<EncodedExamples> => {
    const dataset = datasetFromRows(rows);
    if (!start.chat_template && ['messages', 'chosen', 'completion'].some((name) => Array.isArray(rows[0]?.[name])))
      throw new UsageError(
        `the rows hold messages, but ${start.name} has no chat template; give chat_template_path, or rows of plain texts`,
      );
    const margin = kind === 'preference' && losses.slot === 'reward-model' && dataset.columns.includes('margin') ? ['margin'] : [];
    return encodeExamples(dataset, start.tokenizer, {
      kind,
      max_length,
      columns: [...columns, ...margin],
      completion_only_loss: config.completion_only_loss ?? true,
      assistant_only_loss: config.assistant_only_loss ?? true,
      step_separator: unescaped(config.step_separator ?? '\n'),
      ...(start.chat_template ? { chat_template: start.chat_template } : {}),
    });
  };
}

/** What encoding did to the rows, where it did anything. */
function notesOf(set: EncodedExamples, rows: number, max_length: number): string[] {
  const cut = set.truncated > 0 ? [`${set.truncated} sequences were longer than max_length ${max_length} and lost their ends.`] : [];
  const dropped =
    set.dropped > 0 ? [`${set.dropped} of ${rows} rows had nothing left to train on and were left out (empty, or cut by max_length).`] : [];
  return [...cut, ...dropped];
}

const lossPart = ({ patched }: Losses): Recipe[string] => ({
  method: patched.id,
  settings: Object.fromEntries(
    patched.methods.flatMap(({ method, settings }) => Object.entries(settings).map(([key, value]) => [`${method.id}.${key}`, value])),
  ),
});

/** Opens model and data of a configuration, checked by the command's schema, and settles every default. */
export async function planPostTrain(
  verb: PostTrainVerb,
  checked: object,
  { onStage = () => undefined }: PlanHooks = {},
): Promise<PostTrainPlan> {
  const { config, losses } = lossesOf(verbs[verb], checked);
  const { optimizer, schedule } = fineTuningParts(config, { schedule: 'linear', rate: verbs[verb].texts.rate });
  const recipe: Recipe = { optimizer, schedule, [losses.slot]: lossPart(losses) };
  onStage('opening the model');
  const start = await startingModel(config);
  const max_length = maxLengthOf(config, start);
  onStage('reading the data');
  const rows = await openRows(config, { chat: start.chat_template !== undefined });
  const encode = encoder(losses, config, start, max_length);
  let train: ExampleSet = await encode(rows.train);
  const notes = notesOf(train as EncodedExamples, rows.train.length, max_length);
  let held: ExampleSet | undefined = rows.validation.length > 0 ? await encode(rows.validation) : undefined;
  const context = Math.min(start.model.context, roundUp(Math.max(longestOf(train), held ? longestOf(held) : 0), 8));
  const eval_batch = config.per_device_eval_batch_size ?? config.per_device_train_batch_size;
  if (config.precompute_ref_log_probs && losses.slot === 'preference-loss' && readsReference(losses.patched)) {
    onStage('computing log-probabilities of the reference');
    const options = { batch_size: eval_batch, context, ...(config.threads === undefined ? {} : { threads: config.threads }) };
    train = await withReferenceLogps(train, start.model, start.params, options);
    if (held) held = await withReferenceLogps(held, start.model, start.params, options);
  }

  const pad_token_id = start.tokenizer.pad_token_id ?? 0;
  const per_row = Math.max(1, Math.ceil((context * train.examples.length * train.sequences) / allTokens(train)));
  const rows_of_batch = config.per_device_train_batch_size * train.sequences;
  const shape = config.packing
    ? { batch_size: config.per_device_train_batch_size * per_row, rows: rows_of_batch }
    : { batch_size: config.per_device_train_batch_size };
  const data = exampleSource(train, { ...shape, context, pad_token_id, key: foldIn(randomKey(config.seed), 1) });
  const evaluation = held ? exampleBatches(held, { batch_size: eval_batch, context, pad_token_id }) : [];
  const parts = config.gradient_accumulation_steps;
  // packed batches take as many examples as have room
  const per_batch = config.packing
    ? Math.max(1, (rows_of_batch * context * train.examples.length) / allTokens(train))
    : config.per_device_train_batch_size;
  const rhythm = rhythmOf(config, train.examples.length / (per_batch * parts), { num_train_epochs: 1 });
  const args = { ...rhythm, gradient_accumulation_steps: parts };
  const optimizing = partOf<OptimizerMethod>(recipe, 'optimizer');
  if (optimizing.method.lossEvaluations && parts > 1)
    throw new UsageError(
      `${optimizing.method.id} evaluates the loss of a batch itself; use gradient_accumulation_steps 1 and a larger batch`,
    );
  return {
    verb,
    config,
    losses,
    name: config.run_name ?? `${rows.name}-${start.name}`,
    start,
    recipe,
    optimizer: optimizing,
    schedule: partOf<ScheduleMethod>(recipe, 'schedule'),
    args,
    data,
    evaluation,
    max_length,
    task: {
      model: start.config,
      start: start.sha256,
      args: { ...args, save_steps: undefined },
      data: data.fingerprint,
      tokenizer: start.tokenizer.fingerprint,
      validation: held?.fingerprint ?? null,
      evaluation: { batch_size: eval_batch, batches: evaluation.length },
    },
    figures: {
      parameters: countParams(start.model.specs),
      vocab_size: start.model.vocab_size,
      examples: train.examples.length,
      validation_examples: held?.examples.length ?? 0,
      trained_tokens: trainedTokens(train),
      context,
      rows: data.batch_size,
      steps: args.max_steps,
      epochs: (args.max_steps * per_batch * parts) / train.examples.length,
      learning_rate: Number(optimizing.settings.learning_rate),
    },
    notes,
  };
}
