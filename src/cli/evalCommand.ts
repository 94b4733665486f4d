import type { Command } from 'commander';
import { openDataset } from '../data/dataset/open.js';
import { type PerplexityResult, perplexity, perplexityMetrics } from '../evaluate/perplexity.js';
import { openModel, requireTokenizer } from '../infer/index.js';
import { lookUp } from '../lab/names.js';
import { duration, si, table } from './format.js';
import { exitCodes, type Io } from './io.js';
import { count, downloadReporter, interruptible } from './options.js';

interface EvalFlags {
  readonly model: string;
  readonly tokenizer?: string;
  readonly dataset: string;
  readonly split?: string;
  readonly text_column?: string;
  readonly separator?: string;
  readonly metrics: string;
  readonly context?: number;
  readonly stride?: number;
  readonly threads?: number;
  readonly json?: boolean;
}

/** Names that --metrics takes, and the keys of the result that they stand for. */
const metricKeys: Readonly<Record<string, readonly string[]>> = {
  perplexity: ['perplexity,none'],
  bpb: ['bits_per_byte,none'],
  bits_per_byte: ['bits_per_byte,none'],
  byte_perplexity: ['byte_perplexity,none'],
};

/** vitro eval */
export function addEval(program: Command, io: Io, setExit: (code: number) => void): void {
  program
    .command('eval')
    .description('Measure perplexity and bits per byte of a language model on text. Every token is scored once.')
    .requiredOption('--model <path>', 'folder, .gguf or llama2.c .bin file, output of "vitro pretrain", or hub id')
    .option('--tokenizer <path>', 'folder or file of the tokenizer, where it does not lie with the model')
    .requiredOption('--dataset <path>', 'file, folder or glob of txt, jsonl, csv or parquet (also .gz), or a dataset of the hub')
    .option('--split <name>', 'train, validation or test')
    .option('--text_column <name>', 'the column that holds the text (default: text)')
    .option('--separator <text>', 'txt: what stands between documents, \\n for a line break (default: a file is a document)')
    .option('--metrics <names>', `several joined by commas: ${Object.keys(metricKeys).join(', ')}`, 'perplexity,bpb')
    .option('--context <n>', "most tokens that a token is predicted from (default: the model's)", count)
    .option('--stride <n>', 'tokens that each further window of a long document scores (default: the context)', count)
    .option('--threads <n>', 'threads (default: all cores)', count)
    .option('--json', 'print the result as one JSON object; progress goes to stderr')
    .addHelpText(
      'after',
      `
A document is scored by itself, after the tokenizer's bos token (eos where it has none). Documents longer than the context are cut into windows;
with a stride below the context each window repeats tokens as context, which costs time and lowers the perplexity.

Examples:
  $ vitro eval --model stories260K/stories260K.bin --dataset valid.txt --separator "<|endoftext|>"
  $ vitro eval --model runs/notes --dataset held-out.jsonl --text_column body --json
  $ vitro eval --model HuggingFaceTB/SmolLM2-135M --dataset wikitext.parquet --context 1024 --stride 512`,
    )
    .action(async (flags: EvalFlags) => setExit(await runEval(flags, io)));
}

async function runEval(flags: EvalFlags, io: Io): Promise<number> {
  const asked = flags.metrics.split(',').flatMap((name) => lookUp('metric', name.trim(), metricKeys));
  const opened = await openModel(flags.model, {
    hub: { onProgress: downloadReporter(io) },
    ...(flags.tokenizer === undefined ? {} : { tokenizer: flags.tokenizer }),
  });
  const tokenizer = requireTokenizer(opened);
  const { text_column, split, separator, context, stride, threads } = flags;
  const dataset = await openDataset({
    path: flags.dataset,
    ...(text_column === undefined ? {} : { text_column }),
    ...(split === undefined ? {} : { split }),
    ...(separator === undefined ? {} : { separator: separator.replaceAll('\\n', '\n') }),
  });
  const started = performance.now();
  const show = progressLine(io, started);
  const result = await interruptible((signal) =>
    perplexity({
      model: opened.model,
      params: opened.params,
      tokenizer,
      dataset,
      signal,
      onProgress: show,
      ...(text_column === undefined ? {} : { text_column }),
      ...(context === undefined ? {} : { context }),
      ...(stride === undefined ? {} : { stride }),
      ...(threads === undefined ? {} : { threads }),
    }),
  );
  if (io.stderr.isTTY) io.stderr.write('\r\u001b[K');
  if (result === 'interrupted') {
    io.stderr.write('Stopped.\n');
    return exitCodes.interrupted;
  }
  const seconds = (performance.now() - started) / 1000;
  const all = perplexityMetrics(result);
  const metrics = Object.fromEntries(asked.map((key) => [key, all[key] as number]));
  const window = { context: context ?? opened.model.context, stride: stride ?? context ?? opened.model.context };
  if (flags.json)
    io.stdout.write(`${JSON.stringify({ results: metrics, ...result, ...window, model: opened.path, dataset: flags.dataset, seconds })}\n`);
  else io.stdout.write(`${resultText(metrics, result, window, seconds)}\n`);
  return exitCodes.done;
}

/** On a terminal a line with what is done and the time that is left; else a line about every ten seconds. */
function progressLine({ stderr }: Io, started: number) {
  let last = started;
  return (done: { documents: number; tokens: number; total_documents: number | null }): void => {
    const now = performance.now();
    if (now - last < (stderr.isTTY ? 100 : 10_000)) return;
    last = now;
    const seconds = (now - started) / 1000;
    const total = done.total_documents;
    const left =
      total === null || done.documents === 0 ? '' : `, about ${duration((seconds * (total - done.documents)) / done.documents)} left`;
    const documents = `${done.documents}${total === null ? '' : `/${total}`} documents`;
    const line = `${documents}, ${si(done.tokens)} tokens, ${si(done.tokens / seconds)} a second${left}`;
    stderr.write(stderr.isTTY ? `\r\u001b[K${line}` : `${line}\n`);
  };
}

function resultText(
  metrics: Readonly<Record<string, number>>,
  { tokens, bytes, documents, scores_first_token }: PerplexityResult,
  window: { readonly context: number; readonly stride: number },
  seconds: number,
): string {
  const rows = Object.entries(metrics).map(([key, value]) => [key, value.toFixed(4)]);
  const first = scores_first_token ? '' : ' The first token of each document is not scored: the tokenizer has no token that begins a text.';
  return `${table(['metric', 'value'], rows)}\n\n${tokens} tokens and ${bytes} bytes of ${documents} document${documents === 1 ? '' : 's'} in ${duration(
    seconds,
  )}; context ${window.context}, stride ${window.stride}.${first}`;
}
