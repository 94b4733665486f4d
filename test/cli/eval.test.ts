import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { openModel, requireTokenizer } from '../../src/infer/index.js';
import { nextLogps } from '../infer/models.js';
import { temporaryFolder } from '../models/checkpoint/temporaryFolder.js';
import { vitro, writeTinyModel } from './tinyRun.js';

const folder = temporaryFolder();
const model = join(folder, 'tiny');
const rows = join(folder, 'rows.jsonl');
const texts = ['Grüße!', 'one two three', `long ${'x y '.repeat(30)}end`];

beforeAll(async () => {
  await writeTinyModel(model);
  await writeFile(rows, texts.map((body) => `${JSON.stringify({ body })}\n`).join(''));
});

/** Nats of every token but the first of a sequence, each predicted by a forward pass over its own window. */
async function plainNats(ids: readonly number[], context: number, stride: number): Promise<number> {
  const opened = await openModel(model);
  let nats = 0;
  for (let scored = 0; scored < ids.length - 1; ) {
    const end = Math.min(scored === 0 ? context : scored + stride, ids.length - 1);
    for (let t = scored; t < end; t++) {
      const window = ids.slice(Math.max(0, end - context), t + 1);
      nats -= (await nextLogps(opened, window, 'ort'))[ids[t + 1] as number] as number;
    }
    scored = end;
  }
  return nats;
}

describe('vitro eval', () => {
  it.each([
    [96, 96],
    [16, 16],
    [16, 5],
  ])('context %i, stride %i: the nats of a plain loop over windows, true bytes and tokens', async (context, stride) => {
    const { code, out } = await vitro(
      ...['eval', '--model', model, '--dataset', rows, '--text_column', 'body', '--json', '--threads', '1'],
      ...['--context', String(context), '--stride', String(stride), '--metrics', 'perplexity,bpb,byte_perplexity'],
    );
    expect(code).toBe(0);
    const result = JSON.parse(out);
    const tokenizer = requireTokenizer(await openModel(model));
    const encoded = texts.map((text) => [256, ...tokenizer.encode(text)]);
    let nats = 0;
    for (const ids of context === 96 ? encoded : encoded.slice(0, 2)) nats += await plainNats(ids, context, stride);
    const bytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
    expect(result).toMatchObject({ documents: 3, bytes, tokens: encoded.reduce((sum, ids) => sum + ids.length - 1, 0), context, stride });
    if (context === 96) expect(result.nats).toBeCloseTo(nats, 2);
    else {
      const rest = await plainNats(encoded[2] as number[], context, stride);
      expect(result.nats).toBeCloseTo(nats + rest, 2);
    }
    expect(result.results['perplexity,none']).toBeCloseTo(Math.exp(result.nats / result.tokens), 6);
    expect(result.results['bits_per_byte,none']).toBeCloseTo(result.nats / bytes / Math.log(2), 6);
    expect(result.results['byte_perplexity,none']).toBeCloseTo(Math.exp(result.nats / bytes), 6);
  });

  it('prints a table', async () => {
    const { out } = await vitro('eval', '--model', model, '--dataset', rows, '--text_column', 'body', '--threads', '1');
    expect(out).toMatch(/perplexity,none +\d+\.\d{4}\nbits_per_byte,none +\d+\.\d{4}/);
    expect(out).toContain('of 3 documents');
  });

  it.each([
    [['--dataset', rows], /no column "text"/],
    [['--dataset', 'no.txt'], /no such file/],
    [['--dataset', rows, '--text_column', 'body', '--context', '97'], /from 1 to the model's 96, got 97/],
    [['--dataset', rows, '--text_column', 'body', '--stride', '97'], /stride must be from 1 to the context of 96/],
    [['--dataset', rows, '--metrics', 'perplexty'], /did you mean "perplexity"/],
  ])('refuses %j', async (argv, message) => {
    const { code, err, out } = await vitro('eval', '--model', model, ...argv);
    expect(err).toMatch(message);
    expect(code).toBeGreaterThan(0);
    expect(out).toBe('');
  });
});
