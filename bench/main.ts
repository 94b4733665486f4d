import { spawnSync } from 'node:child_process';
import { availableParallelism, cpus, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { benchDecode, type DecodeBench, measureFormat } from './decode.js';
import type { WeightFormat } from './decodeModel.js';
import { benchDeep, type DeepBench } from './deep.js';
import { benchGenerate } from './generate.js';
import { benchLoad, type LoadBench, measureLoad } from './load.js';
import { benchOverhead } from './overhead.js';
import { benchPretrain } from './pretrain.js';
import { table } from './table.js';
import { benchTokenize } from './tokenize.js';
import { benchTrain } from './train.js';

const machine = (): Record<string, string | number> => ({
  node: process.version,
  cpu: cpus()[0]?.model.trim() ?? 'unknown',
  cores: availableParallelism(),
  memory_gb: Math.round(totalmem() / 1e9),
});

/** Runs one of these commands in a process of its own and reads its JSON: memory and caches then are its own. */
function inChild<T>(...args: readonly string[]): T {
  const child = spawnSync(process.execPath, ['--expose-gc', fileURLToPath(import.meta.url), ...args, '--json', '--in-process'], {
    encoding: 'utf8',
    maxBuffer: 1 << 24,
  });
  if (child.status !== 0) throw new Error(`the benchmark "${args.join(' ')}" failed: ${child.stderr}`);
  return JSON.parse(child.stdout) as T;
}

const deep = (): DeepBench => inChild('deep');
const decode = (rounds = 3): DecodeBench => benchDecode((format) => inChild('decode', '--format', format), rounds);

const load = (): Promise<LoadBench> => benchLoad((path) => inChild('load', '--file', path));

const print = (result: unknown, json: boolean | undefined): void => {
  process.stdout.write(json ? `${JSON.stringify(result)}\n` : `${table(result)}\n`);
};

const program = new Command('bench')
  .description('Benchmarks of the engine. Figures are ratios within one run on this machine; see docs/performance.md for how to read them.')
  .addHelpText('after', '\nExamples:\n  npm run bench -- train --json\n  npm run bench -- decode\n  npm run bench -- all --no-peers');

program
  .command('train')
  .description('training steps of gpt-5.7m and gpt-28m against the GEMM peak, PyTorch and @jax-js/jax')
  .option('--json', 'one JSON object')
  .option('--no-peers', 'leave PyTorch and @jax-js/jax out')
  .option('--repeats <n>', 'timed steps', Number, 25)
  .option('--rss-steps <n>', 'step up to which resident memory is watched', Number, 300)
  .action(async (o: { json?: boolean; peers: boolean; repeats: number; rssSteps: number }) => print(await benchTrain(o), o.json));

program
  .command('decode')
  .description('decode step and prefill of a 135M model at context 512 in f32, 8 and 4 bits, against the memory bandwidth')
  .option('--json', 'one JSON object')
  .option('--rounds <n>', 'processes for each format, by turns', Number, 3)
  .option('--format <name>', 'with --in-process: f32, q8 or q4')
  .option('--in-process', 'the raw figures of one format, measured in this process')
  .action((o: { json?: boolean; rounds: number; format?: WeightFormat; inProcess?: boolean }) =>
    print(o.inProcess ? measureFormat(o.format ?? 'f32') : decode(o.rounds), o.json),
  );

program
  .command('overhead')
  .description('cost of a call, compile times, event loop')
  .option('--json', 'one JSON object')
  .action(async (o: { json?: boolean }) => print(await benchOverhead(), o.json));

program
  .command('deep')
  .description('a 124M-parameter, 30-layer training step by layer-wise execution: time and memory')
  .option('--json', 'one JSON object')
  .option('--in-process', 'in this process')
  .action((o: { json?: boolean; inProcess?: boolean }) => print(o.inProcess ? benchDeep() : deep(), o.json));

program
  .command('load')
  .description('loading a checkpoint of 135M parameters: time and memory')
  .option('--json', 'one JSON object')
  .option('--file <path>', 'with --in-process: the checkpoint')
  .option('--in-process', 'load the file in this process')
  .action(async (o: { json?: boolean; file?: string; inProcess?: boolean }) =>
    print(o.inProcess && o.file ? await measureLoad(o.file) : await load(), o.json),
  );

program
  .command('tokenize')
  .description('byte-level BPE over 10 MB of English, against @huggingface/tokenizers')
  .option('--json', 'one JSON object')
  .action((o: { json?: boolean }) => print(benchTokenize(), o.json));

program
  .command('pretrain')
  .description('`vitro pretrain` on gpt-5.7m, data loading and logging included, against the bare compiled step')
  .option('--json', 'one JSON object')
  .option('--blocks <n>', 'blocks of four steps, by turns', Number, 8)
  .action(async (o: { json?: boolean; blocks: number }) => print(await benchPretrain(o.blocks), o.json));

program
  .command('generate')
  .description('64 sequences of gpt-5.7m, prompts of 16 tokens and 64 new ones, against llama.cpp on the same weights')
  .option('--json', 'one JSON object')
  .option('--no-peers', 'leave llama.cpp out')
  .option('--repeats <n>', 'generations of each, by turns', Number, 5)
  .option('--threads <n>', 'of each; default: all cores', Number)
  .action(async (o: { json?: boolean; peers: boolean; repeats: number; threads?: number }) => print(await benchGenerate(o), o.json));

program
  .command('all', { isDefault: true })
  .description('everything')
  .option('--json', 'one JSON object')
  .option('--no-peers', 'leave PyTorch and @jax-js/jax out')
  .action(async (o: { json?: boolean; peers: boolean }) => {
    const train = await benchTrain({ peers: o.peers, repeats: 25, rssSteps: 300 });
    print(
      {
        machine: machine(),
        train,
        decode: decode(),
        overhead: await benchOverhead(),
        deep: deep(),
        load: await load(),
        tokenize: benchTokenize(),
      },
      o.json,
    );
  });

await program.parseAsync();
