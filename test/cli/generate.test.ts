import { existsSync } from 'node:fs';
import { copyFile, cp, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { openModel } from '../../src/infer/index.js';
import { temporaryFolder } from '../models/checkpoint/temporaryFolder.js';
import { tinyConfig, vitro, writeTinyModel } from './tinyRun.js';

const folder = temporaryFolder();
const model = join(folder, 'tiny');
const shared = process.env.VITRO_SHARED ?? fileURLToPath(new URL('../../../shared/data', import.meta.url));
const stories = join(shared, 'models/stories260K');

beforeAll(() => writeTinyModel(model));

const common = ['--max_new_tokens', '6', '--threads', '1'];

interface Json {
  readonly completions: readonly {
    prompt: string;
    index: number;
    completion: string;
    finish_reason: string;
    tokens: number[];
    logps: number[];
  }[];
  readonly usage: { readonly completion_tokens: number };
}

describe('vitro generate', () => {
  it('streams a prompt with its continuation, and says the speed on stderr', async () => {
    const { code, out, err } = await vitro('generate', '--model', model, '--prompt', 'ab', ...common);
    expect(err).toMatch(/^6 tokens in .* a second\n$/);
    expect(code).toBe(0);
    expect(out.startsWith('ab')).toBe(true);
    expect(out.endsWith('\n')).toBe(true);
    const again = await vitro('generate', '--model', model, '--prompt', 'ab', ...common);
    expect(again.out).toBe(out);
  });

  it('computes several prompts and completions together, as JSON', async () => {
    const { out } = await vitro('generate', '--model', model, '--prompt', 'ab', '--prompt', 'c', '--n', '2', '--json', ...common);
    const { completions, usage } = JSON.parse(out) as Json;
    expect(completions.map((c) => [c.prompt, c.index])).toEqual([
      ['ab', 0],
      ['ab', 1],
      ['c', 0],
      ['c', 1],
    ]);
    for (const { tokens, logps } of completions) expect(logps.length).toBe(tokens.length);
    expect(usage.completion_tokens).toBe(completions.reduce((n, c) => n + c.tokens.length, 0));
  });

  it('reads prompts of a table, and one text of any other file', async () => {
    const table = join(folder, 'prompts.jsonl');
    await writeFile(table, '{"prompt":"x","id":1}\n{"prompt":"yz","id":2}\n');
    const { out } = await vitro('generate', '--model', model, '--file', table, '--json', ...common);
    expect((JSON.parse(out) as Json).completions.map((c) => c.prompt)).toEqual(['x', 'yz']);
    const text = join(folder, 'prompt.txt');
    await writeFile(text, 'from a file');
    expect((await vitro('generate', '--model', model, '--file', text, ...common)).out).toMatch(/^from a file/);
  });

  it('ends at a stop text and leaves it out', async () => {
    const free = JSON.parse(
      (await vitro('generate', '--model', model, '--prompt', 'ab', '--temperature', '0', '--json', ...common)).out,
    ) as Json;
    const text = free.completions[0]?.completion as string;
    const stop = [...text][1] as string;
    const cut = JSON.parse(
      (await vitro('generate', '--model', model, '--prompt', 'ab', '--temperature', '0', '--stop', stop, '--json', ...common)).out,
    ) as Json;
    expect(cut.completions[0]).toMatchObject({ completion: text.slice(0, text.indexOf(stop)), finish_reason: 'stop' });
  });

  it('reads the newest checkpoint of a run that has not ended', async () => {
    const run = join(folder, 'run');
    await mkdir(join(run, 'checkpoint-9'), { recursive: true });
    await cp(model, join(run, 'checkpoint-10'), { recursive: true });
    expect((await openModel(run)).path).toBe(join(run, 'checkpoint-10'));
  });

  it.each([
    [['--model', 'no/such/model', '--prompt', 'a'], 1, /could not be|neither a file or folder|offline/],
    [['--model', folder, '--prompt', 'a'], 1, /holds no model/],
    [['--model', model, '--prompt', 'a', '--file', 'b'], 2, /--prompt or --file, not both/],
    [['--model', model, '--prompt', 'a', '--temperature', '-1'], 1, /temperature must be a positive number/],
    [['--model', model, '--prompt', 'a', '--top_k', 'many'], 2, /whole number/],
    [['--model', model, '--prompt', 'a'.repeat(96)], 1, /96 tokens; the model's context of 96/],
    [['--model', model, '--prompt', 'a', '--chat'], 1, /no chat_template/],
    [['--prompt', 'a'], 2, /--model/],
  ])('answers %j with exit code %i', async (argv, code, message) => {
    process.env.HF_HUB_OFFLINE = '1';
    const result = await vitro('generate', ...argv);
    expect(result.err).toMatch(message);
    expect(result.code).toBe(code);
    expect(result.out).toBe('');
  });

  it('refuses a tokenizer with ids that the model does not know, and says where a tokenizer is missing', async () => {
    const small = join(folder, 'small');
    await writeTinyModel(small, { ...tinyConfig, vocab_size: 256 });
    expect((await vitro('generate', '--model', small, '--prompt', 'a')).err).toMatch(/tokenizer has 257 ids, but the model knows 256/);
    const bare = join(folder, 'bare');
    await mkdir(bare);
    for (const name of ['config.json', 'model.safetensors']) await copyFile(join(model, name), join(bare, name));
    expect((await vitro('generate', '--model', bare, '--prompt', 'a')).err).toMatch(/has no tokenizer .*--tokenizer/);
    expect((await vitro('generate', '--model', bare, '--tokenizer', model, '--prompt', 'a', ...common)).code).toBe(0);
  });

  it('explains itself with examples', async () => {
    const { code, out } = await vitro('generate', '--help');
    expect(code).toBe(0);
    expect(out).toContain('Examples:');
    expect(out).toContain('--repetition_penalty');
  });
});

describe.skipIf(!existsSync(stories))('stories260K (in ../shared/data)', () => {
  it('tells the story that llama2.c tells at temperature 0', async () => {
    const { out } = await vitro(
      ...['generate', '--model', join(stories, 'stories260K.bin'), '--prompt', 'Once upon a time'],
      ...['--temperature', '0', '--max_new_tokens', '40', '--threads', '1'],
    );
    expect(out).toMatch(/^Once upon a time, there was a little girl named Lily\. She loved to play outside in the park\./);
  });
});
