import { type Command, Option } from 'commander';
import { openTokenizer, resolveModel } from '../infer/index.js';
import { type ExportFormat, exportFormats, exportModel } from '../models/exportModel.js';
import { exitCodes, type Io } from './io.js';
import { downloadReporter } from './options.js';

interface ExportFlags {
  readonly model: string;
  readonly tokenizer?: string;
  readonly format: ExportFormat;
  readonly dtype?: string;
  readonly out: string;
  readonly json?: boolean;
}

const listed = Object.entries(exportFormats)
  .map(([format, dtypes]) => `  ${format.padEnd(12)} ${dtypes.join(', ')}`)
  .join('\n');

/** vitro export */
export function addExport(program: Command, io: Io, setExit: (code: number) => void): void {
  program
    .command('export')
    .description('Write a language model in another format or precision, for other programs to run.')
    .requiredOption('--model <path>', 'folder, .gguf or llama2.c .bin file, output of "vitro pretrain", or hub id')
    .option('--tokenizer <path>', 'folder or file of the tokenizer, where it does not lie with the model')
    .addOption(new Option('--format <name>', 'what to write').choices(Object.keys(exportFormats)).makeOptionMandatory())
    .addOption(new Option('--dtype <name>', 'precision of the matrices').choices([...new Set(Object.values(exportFormats).flat())]))
    .requiredOption('--out <path>', 'safetensors: a folder; otherwise a file')
    .option('--json', 'print what was written as one JSON object')
    .addHelpText(
      'after',
      `
Formats, and what they hold (the first is the default):
${listed}

gguf files run in llama.cpp, llama2c files in llama2.c (with tokenizer.bin beside them), safetensors folders in transformers. onnx is the function from
token ids, int32 [batch, time], to logits.

Examples:
  $ vitro export --model runs/notes --format gguf --dtype q8_0 --out notes-q8_0.gguf
  $ vitro export --model model.gguf --format safetensors --dtype bf16 --out model-hf
  $ vitro export --model runs/notes --format onnx --out notes.onnx`,
    )
    .action(async (flags: ExportFlags) => setExit(await runExport(flags, io)));
}

async function runExport(flags: ExportFlags, io: Io): Promise<number> {
  const { format, dtype, out } = flags;
  const path = await resolveModel(flags.model, { onProgress: downloadReporter(io) });
  const tokenizer = await openTokenizer(path, flags.tokenizer);
  const written = await exportModel({ path, tokenizer, format, out, ...(dtype === undefined ? {} : { dtype }) });
  const used = dtype ?? exportFormats[format][0];
  if (flags.json) io.stdout.write(`${JSON.stringify({ model: path, format, dtype: used, written, tokenizer: tokenizer !== undefined })}\n`);
  else {
    io.stdout.write(`wrote ${written.join(' and ')} (${format}, ${used})\n`);
    if (!tokenizer) io.stderr.write('The model has no tokenizer, so none was written.\n');
  }
  return exitCodes.done;
}
