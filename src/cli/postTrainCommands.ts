import type { Command } from 'commander';
import { stringify } from 'yaml';
import type { PostTrainVerb } from '../lab/postTrain/config.js';
import type { PostTrainFigures } from '../lab/postTrain/plan.js';
import { ownKeys, schemaOf, type Verb, verbs } from '../lab/postTrain/verbs.js';
import { type PostTrainDryRun, type PostTrainEvent, type PostTrainSummary, postTrainDryRun, postTrainRun } from '../lab/postTrainRun.js';
import { slotMethods } from '../lab/training/slotChoice.js';
import type { ConfigRecord } from './config/file.js';
import { addConfigFlags, type ConfigNames, configOf, refuseUnknown } from './config/flags.js';
import { si } from './format.js';
import type { Io } from './io.js';
import { methodsHelp } from './methodsHelp.js';
import { finishedText, placeText, runTraining } from './trainAction.js';
import { type ShownMetric, TrainProgress } from './trainProgress.js';

/** Other names of keys that all of these commands take. */
export const commonAliases = {
  model: 'model_name_or_path',
  dataset: 'dataset_name',
  tokenizer_name_or_path: 'tokenizer',
  max_seq_length: 'max_length',
} as const;

/** The keys of optimizer and schedule that a first part of a --set path stands for. */
export const optimizationKey = (name: string): string | undefined =>
  ['optimizer', 'schedule'].find((slot) => Object.hasOwn(slotMethods(slot), name));

function namesOf(verb: Verb): ConfigNames {
  const own = ownKeys(verb);
  return {
    aliases: commonAliases,
    shorthands: { optimizer: 'method', schedule: 'method' },
    // --set neftune.neftune_noise_alpha=5 is a setting of one method
    setKey: (name) => (Object.hasOwn(verb.methods, name) ? `method_settings.${name}` : optimizationKey(name)),
    hidden: (key) => !Object.hasOwn(own, key),
  };
}

const examples: Readonly<Record<PostTrainVerb, string>> = {
  sft: `
  $ vitro sft --model_name_or_path runs/pretrain --dataset_name train.jsonl --output_dir out
  $ vitro sft --model_name_or_path HuggingFaceTB/SmolLM2-135M --dataset_name chats.parquet --max_steps 200 --packing
  $ vitro sft --model_name_or_path runs/pretrain --dataset_name train.csv --loss_type dft+neftune --neftune_noise_alpha 5
  $ vitro sft --config sft.yaml --learning_rate 5e-5 --dry_run

A line of train.jsonl: {"prompt": "2+3=", "completion": "5"}  or  {"messages": [{"role": "user", "content": "..."}, ...]}  or  {"text": "..."}`,
  dpo: `
  $ vitro dpo --model_name_or_path out --dataset_name pairs.jsonl --output_dir aligned
  $ vitro dpo --model_name_or_path out --dataset_name pairs.jsonl --loss_type simpo --beta 2 --simpo_gamma 1
  $ vitro dpo --model_name_or_path out --dataset_name pairs.parquet --beta 0.05 --learning_rate 1e-5 --num_train_epochs 2

A line of pairs.jsonl: {"prompt": "Name a fruit. ", "chosen": "apple", "rejected": "stone"}`,
  kto: `
  $ vitro kto --model_name_or_path out --dataset_name marked.jsonl --output_dir aligned
  $ vitro kto --model_name_or_path out --dataset_name marked.csv --beta 0.2 --undesirable_weight 1.5

A line of marked.jsonl: {"prompt": "Name a fruit. ", "completion": "apple", "label": true}`,
  reward: `
  $ vitro reward --model_name_or_path out --dataset_name pairs.jsonl --output_dir judge
  $ vitro reward --model_name_or_path out --dataset_name pairs.jsonl --center_rewards_coefficient 0.01
  $ vitro reward --model_name_or_path out --dataset_name steps.jsonl --loss_type prm --aggregate prod
  $ vitro grpo --model_name_or_path out --dataset_name prompts.jsonl --reward_funcs judge

A line of pairs.jsonl: {"prompt": "Name a fruit. ", "chosen": "apple", "rejected": "stone"}
A line of steps.jsonl: {"prompt": "1+2+3=", "completions": ["1+2=3", "3+3=7"], "labels": [true, false]}
The head is saved beside the model: reward_head.safetensors and reward_head.json (docs/post-training.md).`,
};

/** vitro sft, dpo, kto, reward. Hundreds of flags take a while to make, so only the command that is `wanted` gets its own. */
export function addPostTrain(program: Command, io: Io, setExit: (code: number) => void, wanted: string | undefined): void {
  for (const verb of Object.values(verbs)) {
    const command = program
      .command(verb.id)
      .description(`${verb.summary} Interrupted runs go on to the same bits.`)
      .allowUnknownOption()
      .allowExcessArguments();
    if (wanted !== verb.id) continue;
    const names = namesOf(verb);
    const schema = schemaOf(verb);
    addConfigFlags(command, schema, names)
      .option('--json', 'print the result as one JSON object on stdout; progress goes to stderr')
      .addHelpText(
        'after',
        `
--loss_type (default ${verb.usual}), with settings that are flags too, e.g. --beta 0.1:
${methodsHelp(verb.methods)}

Examples:${examples[verb.id]}

Ctrl-C saves a checkpoint; the same command goes on from the newest one. docs/post-training.md has the rest.`,
      )
      .action(async (flags: ConfigRecord & { readonly json?: boolean }) => {
        refuseUnknown(command, schema, names);
        setExit(await runVerb(verb, flags, io));
      });
  }
}

const metricsOf: Readonly<Record<PostTrainVerb, readonly ShownMetric[]>> = {
  sft: [
    { keys: ['loss'], label: 'loss', digits: 4 },
    { keys: ['eval_loss'], label: 'eval_loss', digits: 4, isEvaluation: true },
  ],
  dpo: [
    { keys: ['loss'], label: 'loss', digits: 4 },
    { keys: ['rewards/margins'], label: 'margin', digits: 3 },
    { keys: ['eval_rewards/accuracies'], label: 'eval_accuracy', digits: 3, isEvaluation: true },
  ],
  kto: [
    { keys: ['loss'], label: 'loss', digits: 4 },
    { keys: ['rewards/margins'], label: 'margin', digits: 3 },
    { keys: ['eval_loss'], label: 'eval_loss', digits: 4, isEvaluation: true },
  ],
  reward: [
    { keys: ['loss'], label: 'loss', digits: 4 },
    { keys: ['accuracy'], label: 'accuracy', digits: 3 },
    { keys: ['eval_accuracy'], label: 'eval_accuracy', digits: 3, isEvaluation: true },
  ],
};

async function runVerb(verb: Verb, { json = false, ...flags }: ConfigRecord & { readonly json?: boolean }, io: Io): Promise<number> {
  const config: Readonly<Record<string, unknown>> = await configOf(schemaOf(verb), flags, namesOf(verb));
  return runTraining<PostTrainEvent, PostTrainSummary | PostTrainDryRun>(io, {
    json,
    progress: new TrainProgress(io.stderr, metricsOf[verb.id]),
    run: (hooks) => (config.dry_run === true ? postTrainDryRun(verb.id, config, hooks) : postTrainRun(verb.id, config, hooks)),
    startText: (event) => `${sizeText(event.figures)}; ${placeText(event, config.save_steps as number | undefined)}`,
    resultText: (result) => ('ledger' in result ? summaryText(result) : dryRunText(result)),
  });
}

const sizeText = ({ parameters, examples: n, validation_examples, steps, epochs, learning_rate }: PostTrainFigures): string =>
  `${si(parameters)} parameters, ${n} examples (${validation_examples} more are only measured), ${steps} steps (${epochs.toFixed(2)} epochs), learning rate ${learning_rate}`;

function summaryText(summary: PostTrainSummary): string {
  const { verb, output_dir, metrics, validation_examples } = summary;
  const accuracy = metrics[verb === 'reward' ? 'eval_accuracy' : 'eval_rewards/accuracies'];
  const judged =
    accuracy === undefined || verb === 'sft'
      ? ''
      : ` Of ${validation_examples} held-out examples it judges ${(100 * accuracy).toFixed(1)}% right.`;
  const next =
    verb === 'reward'
      ? `The model and its head are in ${output_dir}.${judged} As a reward: vitro grpo --reward_funcs ${output_dir} ...`
      : `The model is in ${output_dir}; try: vitro generate --model ${output_dir} --prompt "..."`;
  return finishedText(summary, {
    cost: ({ tokens_trained }) => `${si(tokens_trained)} tokens, padding included`,
    advice: 'Lower learning_rate, or raise warmup_ratio.',
    next,
  });
}

function dryRunText({ config, recipe, args, figures, notes }: PostTrainDryRun): string {
  const { context, rows, trained_tokens } = figures;
  return [
    stringify({ ...config, recipe, args }).trimEnd(),
    '',
    sizeText(figures),
    `batches of ${rows} rows of ${context} tokens; ${si(trained_tokens)} tokens of the examples are trained on`,
    ...notes,
  ].join('\n');
}
