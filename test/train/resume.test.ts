import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import type { PretrainInput } from '../../src/lab/pretrain/config.js';
import { transpileSources } from '../support/transpiled.js';

let root: string;
let main: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'vitro-resume-'));
  main = transpileSources();
  const lines = (n: number, word: string): string =>
    Array.from({ length: n }, (_, i) => JSON.stringify({ text: `${word} ${i} of ${n}, ${'and on '.repeat(i % 5)}so it goes.` })).join('\n');
  await writeFile(join(root, 'a.jsonl'), lines(150, 'document'));
  await writeFile(join(root, 'b.jsonl'), lines(40, 'a different kind of text'));
  await writeFile(join(root, 'plain.txt'), Array.from({ length: 300 }, (_, i) => `Line ${i * 7919} of a plain text.`).join('\n'));
}, 120_000);
afterAll(() => rm(root, { recursive: true, force: true, maxRetries: 3 }));

const tiny = { hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 24 };
const common: Partial<PretrainInput> = {
  model: tiny,
  max_length: 32,
  per_device_train_batch_size: 2,
  max_steps: 16,
  logging_steps: 1,
  eval_steps: 5,
  eval_tokens: 64,
  threads: 1,
  learning_rate: 0.01,
};

/** Every kind of state that a run carries: averages, merged checkpoints, packed optimizer state, cursors, an objective's own weights. */
const runs: Readonly<Record<string, () => PretrainInput>> = {
  'windows, moving average, merging schedule': () => ({
    ...common,
    dataset_name: join(root, 'plain.txt'),
    ema_decay: 0.9,
    lr_scheduler_type: 'wsm',
    schedule: { merge_ratio: 0.5, num_checkpoints: 5 },
    save_steps: 1,
  }),
  'mixture of best-fit packed documents, 4-bit momentum, accumulation': () => ({
    ...common,
    datasets: [
      { path: join(root, 'a.jsonl'), fraction: 0.7 },
      { path: join(root, 'b.jsonl'), fraction: 0.3 },
    ],
    packing: 'best-fit',
    optim: 'muon-4bit',
    gradient_accumulation_steps: 2,
    save_steps: 2,
  }),
  'packed documents, random tokenization, an objective with weights of its own': () => ({
    ...common,
    dataset_name: join(root, 'a.jsonl'),
    tokenizer: 'train:300',
    tokenization: 'stochastok',
    objective: 'mtp',
    optim: 'cautious-lion',
    lr_scheduler_type: 'wsd',
    save_steps: 3,
  }),
  'random directions instead of gradients, perturbed positions': () => ({
    ...common,
    dataset_name: join(root, 'plain.txt'),
    objective: 'rope-perturbed',
    optim: 'zo-fo',
    ema_decay: 0.5,
    save_steps: 2,
  }),
};

function start(config: string, output_dir: string): { child: ChildProcess; ended: Promise<{ code: number | null; text: string }> } {
  const child = spawn(process.execPath, [main, 'pretrain', '--config', config, '--output_dir', output_dir], {
    env: { ...process.env, VITRO_CACHE: join(root, 'cache') },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
  return { child, ended: new Promise((resolve) => child.on('close', (code) => resolve({ code, text }))) };
}

const sha = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex');

function checkpoints(folder: string): number[] {
  const names = existsSync(folder) ? readdirSync(folder) : [];
  return names.flatMap((name) => /^checkpoint-(\d+)$/.exec(name)?.[1] ?? []).map(Number);
}

/** Everything that a run leaves, times aside. */
function outcome(folder: string): Record<string, unknown> {
  const last = Math.max(...checkpoints(folder));
  const files = [
    'model.safetensors',
    'config.json',
    'tokenizer.json',
    'ema/model.safetensors',
    `checkpoint-${last}/model.safetensors`,
    `checkpoint-${last}/training_state.safetensors`,
  ];
  const metrics = readFileSync(join(folder, 'metrics.jsonl'), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => {
      const { step_time: _, tokens_per_second: __, ...rest } = JSON.parse(line);
      return rest;
    });
  const hidden = readdirSync(folder).filter((name) => name.startsWith('.') || name.endsWith('.lock') || name.endsWith('.tmp'));
  return {
    last,
    metrics,
    hidden,
    ...Object.fromEntries(files.filter((name) => existsSync(join(folder, name))).map((name) => [name, sha(join(folder, name))])),
  };
}

/** When a process dies: after so many milliseconds, or so many after it wrote a checkpoint of at least a step. */
type Death = { readonly after: number; readonly step?: number };

async function killAt(child: ChildProcess, folder: string, death: Death): Promise<void> {
  while (child.exitCode === null && death.step !== undefined && Math.max(0, ...checkpoints(folder)) < death.step) await sleep(3);
  await sleep(death.after);
  child.kill('SIGKILL');
}

describe('a run killed at random moments', () => {
  it.concurrent.each(Object.entries(runs))(
    'ends with the same bits: %s',
    async (name, make) => {
      const kills = 5;
      const config = join(root, `${createHash('sha256').update(name).digest('hex').slice(0, 8)}.yaml`);
      await writeFile(config, stringify(make()));
      const began = performance.now();
      const whole = await start(config, `${config}-whole`).ended;
      expect(whole, whole.text).toMatchObject({ code: 0 });
      const duration = performance.now() - began;
      const expected = outcome(`${config}-whole`);
      expect(expected.last).toBe(16);
      expect(expected.hidden).toEqual([]);

      let killed = 0;
      let resumed = 0;
      for (let round = 0; killed < kills; round++) {
        const folder = `${config}-${round}`;
        for (;;) {
          const before = Math.max(0, ...checkpoints(folder));
          const deaths: readonly Death[] = [
            { after: Math.random() * duration },
            { after: Math.random() * 60, step: before + 1 },
            { after: Math.random() * 0.6 * duration },
            { after: Math.random() * 60, step: before + 4 },
            { after: Math.random() * 200, step: 16 },
          ];
          const { child, ended } = start(config, folder);
          if (killed < kills) await killAt(child, folder, deaths[killed] as Death);
          const { code, text } = await ended;
          if (before > 0) resumed++;
          if (code === 0) break;
          // a code of its own is an error; a killed process has none
          expect(code, text).toBeNull();
          killed++;
        }
        expect(outcome(folder)).toEqual(expected);
      }
      expect(resumed).toBeGreaterThan(0);
    },
    900_000,
  );
});
