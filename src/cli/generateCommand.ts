import { readFile } from 'node:fs/promises';
import { text as readAll } from 'node:stream/consumers';
import type { Command } from 'commander';
import { openDataset } from '../data/dataset/open.js';
import { type Completion, generate, openModel, requireTokenizer, resolveModel } from '../infer/index.js';
import { UsageError } from '../lab/names.js';
import { applyChatTemplate, type ChatMessage, chatTemplateOf } from '../models/tokenizer/chatTemplate.js';
import type { SerializableTokenizer } from '../models/tokenizer/subwordTokenizer.js';
import { VitroError } from '../tensor/index.js';
import { exitCodes, type Io, lookOf } from './io.js';
import { collect, count, downloadReporter, interruptible, number, wholeNumber } from './options.js';

interface GenerateFlags {
  readonly model: string;
  readonly tokenizer?: string;
  readonly prompt?: readonly string[];
  readonly file?: string;
  readonly chat?: boolean;
  readonly max_new_tokens: number;
  readonly temperature: number;
  readonly top_k: number;
  readonly top_p: number;
  readonly min_p: number;
  readonly repetition_penalty: number;
  readonly stop?: readonly string[];
  readonly n: number;
  readonly seed: number;
  readonly batch_size?: number;
  readonly threads?: number;
  readonly json?: boolean;
}

/** A prompt as the user gave it: plain text or a conversation. */
type Prompt = string | readonly ChatMessage[];

/** vitro generate */
export function addGenerate(program: Command, io: Io, setExit: (code: number) => void): void {
  program
    .command('generate')
    .description('Continue prompts with a language model: one prompt streams to the terminal, several are computed together.')
    .requiredOption('--model <path>', 'folder, .gguf or llama2.c .bin file, output of "vitro pretrain", or hub id')
    .option('--tokenizer <path>', 'folder or file of the tokenizer, where it does not lie with the model')
    .option('--prompt <text>', 'what to continue; may be given several times. Default: standard input', collect)
    .option('--file <path>', 'prompts of a file: .jsonl, .csv or .parquet by their column prompt (or messages), any other as one text')
    .option('--chat', "prompts are messages of a user, put into the model's chat template")
    .option('--max_new_tokens <n>', 'most tokens of a completion', count, 256)
    .option('--temperature <x>', 'below 1 sharper, above 1 more varied, 0 always the most probable token', number, 0.8)
    .option('--top_k <n>', 'draw from the n most probable tokens; 0 = all', wholeNumber, 0)
    .option('--top_p <x>', 'draw from the most probable tokens that hold this probability together', number, 1)
    .option('--min_p <x>', 'draw from tokens at least so many times as probable as the first', number, 0)
    .option('--repetition_penalty <x>', 'above 1 discourages tokens that have occurred', number, 1)
    .option(
      '--stop <text>',
      'ends a completion and is left out; \\n and \\t stand for line break and tab. May be given several times',
      collect,
    )
    .option('--n <n>', 'completions of each prompt', count, 1)
    .option('--seed <n>', 'equal seeds give equal texts', wholeNumber, 0)
    .option('--batch_size <n>', 'completions that are computed together (default 64)', count)
    .option('--threads <n>', 'threads (default: all cores)', count)
    .option('--json', 'print one JSON object with all completions, their tokens and log-probabilities')
    .addHelpText(
      'after',
      `
Examples:
  $ vitro generate --model stories260K/stories260K.bin --prompt "Once upon a time"
  $ vitro generate --model runs/notes --prompt "The sea" --n 4 --temperature 1 --top_p 0.95
  $ vitro generate --model HuggingFaceTB/SmolLM2-135M-Instruct --chat --prompt "Why is the sky blue?"
  $ vitro generate --model model-q8_0.gguf --file prompts.jsonl --json > completions.json
  $ echo "def add(a, b):" | vitro generate --model runs/code --stop "\\n\\n"

Ctrl-C stops.`,
    )
    .action(async (flags: GenerateFlags) => setExit(await runGenerate(flags, io)));
}

const unescaped = (text: string): string => text.replaceAll('\\n', '\n').replaceAll('\\t', '\t');

const isMessages = (value: unknown): value is ChatMessage[] =>
  Array.isArray(value) && value.every((m) => typeof m === 'object' && m !== null && typeof (m as ChatMessage).role === 'string');

async function promptsOfTable(path: string): Promise<Prompt[]> {
  const dataset = await openDataset({ path });
  const column = ['prompt', 'messages'].find((name) => dataset.columns.includes(name));
  if (!column) throw new UsageError(`${path} has no column "prompt" or "messages"; its columns: ${dataset.columns.join(', ')}`);
  const prompts: Prompt[] = [];
  for await (const row of dataset.rows()) {
    const value = row[column];
    if (typeof value !== 'string' && !isMessages(value))
      throw new UsageError(`${path}: row ${prompts.length} of "${column}" holds neither a text nor a list of messages`);
    prompts.push(value);
  }
  return prompts;
}

async function promptsOf({ prompt, file }: GenerateFlags): Promise<Prompt[]> {
  if (prompt && file !== undefined) throw new UsageError('give --prompt or --file, not both');
  if (prompt) return [...prompt];
  if (file === undefined) {
    if (process.stdin.isTTY) throw new UsageError('there is no prompt; give --prompt, --file, or text on standard input');
    return [(await readAll(process.stdin)).replace(/\r?\n$/, '')];
  }
  if (/\.(jsonl|json|csv|tsv|parquet)(\.gz)?$/.test(file)) return promptsOfTable(file);
  return [
    await readFile(file, 'utf8').catch((error: Error) => {
      throw new VitroError(`--file ${file}: ${error.message}`);
    }),
  ];
}

/** Token ids of a prompt, and the text to show before a completion. */
function encoded(prompt: Prompt, tokenizer: SerializableTokenizer, chat: boolean): { ids: Int32Array; shown: string } {
  if (!chat && typeof prompt !== 'string') throw new UsageError('a column "messages" holds conversations; add --chat');
  if (chat) {
    const messages = typeof prompt === 'string' ? [{ role: 'user', content: prompt }] : prompt;
    const text = applyChatTemplate(messages, { ...chatTemplateOf(tokenizer.config), add_generation_prompt: true });
    return { ids: tokenizer.encode(text), shown: '' };
  }
  const ids = tokenizer.encode(prompt as string, { add_special_tokens: true });
  const start = tokenizer.bos_token_id ?? tokenizer.eos_token_id;
  if (ids.length === 0 && start === null) throw new UsageError('the prompt is empty, and the tokenizer has no token that begins a text');
  return { ids: ids.length > 0 ? ids : Int32Array.of(start as number), shown: prompt as string };
}

async function runGenerate(flags: GenerateFlags, io: Io): Promise<number> {
  const path = await resolveModel(flags.model, { onProgress: downloadReporter(io) });
  const given = await promptsOf(flags);
  const opened = await openModel(path, flags.tokenizer === undefined ? {} : { tokenizer: flags.tokenizer });
  const tokenizer = requireTokenizer(opened);
  const prompts = given.map((prompt) => encoded(prompt, tokenizer, flags.chat === true));
  const streams = prompts.length * flags.n === 1 && !flags.json;
  const { colour } = lookOf(io.stdout);
  const dim = (text: string): string => (colour ? `\u001b[2m${text}\u001b[0m` : text);
  const started = performance.now();
  let tokens = 0;
  const done = await interruptible((signal) =>
    generate({
      ...opened,
      prompts: prompts.map((p) => p.ids),
      n: flags.n,
      max_completion_length: flags.max_new_tokens,
      sampling: {
        temperature: flags.temperature,
        top_k: flags.top_k,
        top_p: flags.top_p,
        min_p: flags.min_p,
        repetition_penalty: flags.repetition_penalty,
      },
      stop: (flags.stop ?? []).map(unescaped),
      seed: flags.seed,
      tokenizer,
      signal,
      ...(flags.batch_size === undefined ? {} : { batch_size: flags.batch_size }),
      ...(flags.threads === undefined ? {} : { threads: flags.threads }),
      onToken: ({ text }) => {
        if (streams) io.stdout.write(tokens === 0 ? dim(prompts[0]?.shown ?? '') + text : text);
        tokens++;
        if (!streams && io.stderr.isTTY && tokens % 50 === 0) io.stderr.write(`\r\u001b[K${tokens} tokens`);
      },
    }),
  );
  if (streams && tokens > 0) io.stdout.write('\n');
  else if (io.stderr.isTTY) io.stderr.write('\r\u001b[K');
  if (done === 'interrupted') {
    io.stderr.write('Stopped.\n');
    return exitCodes.interrupted;
  }
  const seconds = (performance.now() - started) / 1000;
  const usage = {
    prompt_tokens: prompts.reduce((total, { ids }) => total + ids.length, 0),
    completion_tokens: tokens,
    seconds,
    tokens_per_second: tokens / seconds,
  };
  if (flags.json) {
    const completions = done.map((completion) => jsonOf(completion, given[completion.prompt] as Prompt));
    io.stdout.write(`${JSON.stringify({ model: opened.path, seed: flags.seed, completions, usage })}\n`);
    return exitCodes.done;
  }
  if (!streams)
    for (const { prompt, index, text } of done)
      io.stdout.write(`${dim(`--- prompt ${prompt + 1}, completion ${index + 1}`)}\n${dim(prompts[prompt]?.shown ?? '')}${text}\n`);
  io.stderr.write(`${tokens} tokens in ${seconds.toFixed(1)} s, ${usage.tokens_per_second.toFixed(0)} a second\n`);
  return exitCodes.done;
}

const jsonOf = (completion: Completion, prompt: Prompt): unknown => ({
  prompt,
  index: completion.index,
  completion: completion.text,
  finish_reason: completion.finish_reason,
  tokens: [...completion.tokens],
  logps: [...completion.logps],
});
