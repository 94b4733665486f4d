import type { Command } from 'commander';
import { stringify } from 'yaml';
import { slots } from '../lab/catalogue/slots.js';
import { type PretrainConfig, pretrainSchema } from '../lab/pretrain/config.js';
import type { PretrainFigures } from '../lab/pretrain/plan.js';
import { presets } from '../lab/pretrain/presets.js';
import { slotDefaults } from '../lab/pretrain/recipe.js';
import { type PretrainDryRun, type PretrainEvent, type PretrainSummary, pretrainDryRun, pretrainRun } from '../lab/pretrainRun.js';
import type { ConfigRecord } from './config/file.js';
import { addConfigFlags, type ConfigNames, configOf } from './config/flags.js';
import { si } from './format.js';
import type { Io } from './io.js';
import { finishedText, gib, placeText, runTraining, type StartEvent } from './trainAction.js';
import { TrainProgress } from './trainProgress.js';

const names: ConfigNames = {
  aliases: { dataset: 'dataset_name', tokenizer_name_or_path: 'tokenizer', max_seq_length: 'max_length', block_size: 'max_length' },
  shorthands: { model: 'preset', ...Object.fromEntries(Object.keys(slotDefaults).map((slot) => [slot, 'method'])) },
  setKey: (name) => slots.find((slot) => slot.id in slotDefaults && Object.hasOwn(slot.methods, name))?.id,
};

/** vitro pretrain */
export function addPretrain(program: Command, io: Io, setExit: (code: number) => void): void {
  const command = program
    .command('pretrain')
    .description('Train a language model from scratch, or on from a checkpoint, on text. Interrupted runs go on to the same bits.');
  addConfigFlags(command, pretrainSchema, names)
    .option('--json', 'print the result as one JSON object on stdout; progress goes to stderr')
    .addHelpText(
      'after',
      `
Models:
${Object.entries(presets)
  .map(([id, { summary }]) => `  ${id.padEnd(10)} ${summary}`)
  .join('\n')}

Examples:
  $ vitro pretrain --dataset_name shakespeare
  $ vitro pretrain --dataset_name notes.txt --model gpt-5.7m --num_train_epochs 3 --output_dir runs/notes
  $ vitro pretrain --dataset_name shakespeare --optim muon --learning_rate 0.02 --attention quest --set muon.momentum=0.9
  $ vitro pretrain --config run.yaml --max_steps 200 --dry_run
  $ vitro pretrain --model_name_or_path runs/notes --dataset_name more.jsonl --learning_rate 1e-4

Ctrl-C saves a checkpoint; the same command goes on from the newest one. docs/training.md has the rest.`,
    )
    .action(async (flags: ConfigRecord & { readonly json?: boolean }) => setExit(await runPretrain(flags, io)));
}

async function runPretrain({ json = false, ...flags }: ConfigRecord & { readonly json?: boolean }, io: Io): Promise<number> {
  const config = await configOf(pretrainSchema, flags, names);
  return runTraining<PretrainEvent, PretrainSummary | PretrainDryRun>(io, {
    json,
    progress: new TrainProgress(io.stderr),
    run: (hooks) => (config.dry_run ? pretrainDryRun(config, hooks) : pretrainRun(config, hooks)),
    startText: (event) => startText(event, config),
    resultText: (result) => ('ledger' in result ? summaryText(result) : dryRunText(result)),
  });
}

const sizeText = ({ parameters, vocab_size, tokens, epochs, steps }: PretrainFigures): string =>
  `${si(parameters)} parameters (vocabulary ${vocab_size}), ${steps} steps, ${si(tokens)} tokens (${epochs.toFixed(2)} epochs)`;

const startText = (event: StartEvent<PretrainFigures>, { save_steps }: PretrainConfig): string =>
  `${sizeText(event.figures)}; ${placeText(event, save_steps)}`;

const summaryText = (summary: PretrainSummary): string =>
  finishedText(summary, {
    cost: ({ tokens_trained }) => `${si(tokens_trained)} tokens`,
    advice: 'Lower learning_rate, or raise warmup_ratio.',
    next: `The model is in ${summary.output_dir}; try: vitro generate --model ${summary.output_dir} --prompt "..."`,
  });

function dryRunText({ config, model, recipe, packing, figures }: PretrainDryRun): string {
  const { state_bytes, activation_bytes_estimate, training_tokens, validation_tokens, tokens_per_step, model_flops } = figures;
  return [
    stringify({ ...config, packing, model, recipe }).trimEnd(),
    '',
    sizeText(figures),
    `data: ${si(training_tokens)} tokens train, ${si(validation_tokens)} validate; ${tokens_per_step} tokens a step`,
    `compute: ${si(model_flops)} FLOPs forward and backward`,
    `memory: ${gib(state_bytes)} for weights, gradients and optimizer, roughly ${gib(activation_bytes_estimate)} for activations`,
  ].join('\n');
}
