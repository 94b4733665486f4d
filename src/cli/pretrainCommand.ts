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
import { duration, si } from './format.js';
import { exitCodes, type Io } from './io.js';
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
  const abort = new AbortController();
  // once: a second signal ends the process
  const stop = (): void => abort.abort();
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
  const progress = new TrainProgress(io.stderr);
  const onEvent = (event: PretrainEvent): void => {
    if (event.type === 'stage') progress.stage(event.what);
    else if (event.type === 'metrics') progress.metrics(event.line);
    else {
      progress.clear();
      io.stderr.write(`${startText(event, config)}\n`);
      progress.start(event.figures.steps, event.resumed_step ?? 0);
    }
  };
  try {
    const result = config.dry_run
      ? await pretrainDryRun(config, { onEvent })
      : await pretrainRun(config, { onEvent, signal: abort.signal });
    progress.clear();
    const text = 'ledger' in result ? summaryText(result) : dryRunText(result);
    io.stdout.write(json ? `${JSON.stringify(result)}\n` : `${text}\n`);
    return 'status' in result && result.status === 'diverged' ? exitCodes.failed : exitCodes.done;
  } catch (error) {
    progress.clear();
    if (!abort.signal.aborted) throw error;
    io.stderr.write('Stopped. What was trained is saved; the same command goes on from there.\n');
    return exitCodes.interrupted;
  } finally {
    process.off('SIGINT', stop);
    process.off('SIGTERM', stop);
  }
}

const gib = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(2)} GiB`;

const sizeText = ({ parameters, vocab_size, tokens, epochs, steps }: PretrainFigures): string =>
  `${si(parameters)} parameters (vocabulary ${vocab_size}), ${steps} steps, ${si(tokens)} tokens (${epochs.toFixed(2)} epochs)`;

function startText(
  { output_dir, figures, resumed_step }: Extract<PretrainEvent, { type: 'start' }>,
  { save_steps }: PretrainConfig,
): string {
  const from = resumed_step === null ? '' : `; going on from step ${resumed_step}`;
  const never = save_steps === 0 ? ' No checkpoints before the end (save_steps 0).' : '';
  return `${sizeText(figures)}; in ${output_dir}${from}.${never}`;
}

function summaryText({ status, was_finished, metrics, output_dir, ledger, steps }: PretrainSummary): string {
  const values = Object.entries(metrics).map(([name, value]) => `  ${name.padEnd(18)} ${value.toFixed(4)}`);
  const cost = `${si(ledger.tokens_trained)} tokens, ${si(ledger.model_flops + ledger.optimizer_flops)} FLOPs, ${duration(ledger.wall_seconds)}`;
  if (status === 'diverged')
    return `The loss left the finite numbers after ${cost}. Lower learning_rate, or raise warmup_ratio. ${output_dir}/metrics.jsonl has the curve.`;
  const head = was_finished ? `This run had finished (${steps} steps); --overwrite_output_dir does it again.` : `Finished ${steps} steps.`;
  return [head, ...values, `  ${cost}`, `The model is in ${output_dir}; try: vitro generate --model ${output_dir} --prompt "..."`].join(
    '\n',
  );
}

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
