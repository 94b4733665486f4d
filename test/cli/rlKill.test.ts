import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { temporaryFolder } from '../models/checkpoint/temporaryFolder.js';
import { transpileSources } from '../support/transpiled.js';
import { writeTinyModel } from './tinyRun.js';

const folder = temporaryFolder();
const path = (name: string): string => join(folder, name);
let main: string;
beforeAll(async () => {
  main = transpileSources();
  await writeTinyModel(path('base'));
  const prompts = Array.from({ length: 12 }, (_, i) => JSON.stringify({ prompt: `${i}?` }));
  await writeFile(path('prompts.jsonl'), prompts.join('\n'));
  const pairs = Array.from({ length: 12 }, (_, i) => JSON.stringify({ prompt: `${i}?`, chosen: 'aa', rejected: 'zzz' }));
  await writeFile(path('pairs.jsonl'), pairs.join('\n'));
  await writeFile(
    path('length.ts'),
    'export default (_: string[], completions: string[]): number[] => completions.map((c) => -c.length);\n',
  );
}, 120_000);

const shared = [
  '--model_name_or_path',
  path('base'),
  '--max_steps',
  '8',
  '--save_steps',
  '2',
  '--threads',
  '1',
  '--learning_rate',
  '0.003',
];
const runs: Readonly<Record<string, readonly string[]>> = {
  grpo: [
    ...['--dataset_name', path('prompts.jsonl'), '--reward_funcs', path('length.ts'), '--max_completion_length', '4'],
    ...['--prompts_per_step', '2', '--num_generations', '4'],
  ],
  reward: ['--dataset_name', path('pairs.jsonl'), '--logging_steps', '1', '--per_device_train_batch_size', '4'],
};

function start(
  verb: string,
  output: string,
): { readonly child: ChildProcess; readonly ended: Promise<{ code: number | null; text: string }> } {
  const child = spawn(process.execPath, [main, verb, ...shared, ...(runs[verb] ?? []), '--output_dir', path(output)]);
  let text = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
  return { child, ended: new Promise((resolve) => child.on('close', (code) => resolve({ code, text }))) };
}

describe('a run that is killed', () => {
  it.each(Object.keys(runs))(
    '%s goes on with the same command, to the same bits',
    async (verb) => {
      const whole = await start(verb, `${verb}-whole`).ended;
      expect(whole, whole.text).toMatchObject({ code: 0 });
      // once right after a checkpoint, once somewhere in the middle
      for (const after of [2, 4]) {
        const { child, ended } = start(verb, `${verb}-killed`);
        while (child.exitCode === null && !existsSync(join(path(`${verb}-killed`), `checkpoint-${after}`))) await sleep(2);
        await sleep(Math.random() * 50);
        child.kill('SIGKILL');
        const { code, text } = await ended;
        expect(code === null || code === 0, text).toBe(true);
      }
      const rest = await start(verb, `${verb}-killed`).ended;
      expect(rest, rest.text).toMatchObject({ code: 0 });
      const read = (output: string, name: string): Promise<string> => readFile(join(path(output), name), 'latin1');
      const lines = async (output: string) =>
        (await read(output, 'metrics.jsonl')).replaceAll(/"(step_time|tokens_per_second)":[^,}]*/g, '');
      for (const name of ['model.safetensors', verb === 'grpo' ? 'completions.jsonl' : 'reward_head.safetensors'])
        expect((await read(`${verb}-killed`, name)) === (await read(`${verb}-whole`, name)), name).toBe(true);
      expect(await lines(`${verb}-killed`)).toBe(await lines(`${verb}-whole`));
    },
    240_000,
  );
});
