import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { getLlama, LlamaLogLevel, type Token } from 'node-llama-cpp';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { beforeAll, describe, expect, it } from 'vitest';
import { generate, openModel, requireTokenizer } from '../../src/infer/index.js';
import { nextLogps } from '../infer/models.js';
import { temporaryFolder } from '../models/checkpoint/temporaryFolder.js';
import { vitro, writeTinyModel } from './tinyRun.js';

const folder = temporaryFolder();
const model = join(folder, 'tiny');
const shared = process.env.VITRO_SHARED ?? fileURLToPath(new URL('../../../shared/data', import.meta.url));
const stories = join(shared, 'models/stories260K/stories260K.bin');
const text = 'A day in spring';

beforeAll(() => writeTinyModel(model));

/** Greedy continuation of a model on disk. */
async function continued(path: string, prompt = text): Promise<{ tokens: number[]; text: string; ids: number[] }> {
  const opened = await openModel(path);
  const ids = requireTokenizer(opened).encode(prompt, { add_special_tokens: true });
  const [completion] = await generate({ ...opened, prompts: [ids], max_completion_length: 12, sampling: { temperature: 0 }, threads: 1 });
  return { tokens: [...(completion?.tokens ?? [])], text: completion?.text ?? '', ids: [...ids] };
}

describe('vitro export', () => {
  it.each([
    ['safetensors', 'f32', 'hf'],
    ['gguf', 'f32', 'tiny.gguf'],
  ])('%s %s: the file continues a text as the model does', async (format, dtype, name) => {
    const out = join(folder, 'exported', name);
    const { code, out: said } = await vitro('export', '--model', model, '--format', format, '--dtype', dtype, '--out', out);
    expect(said).toBe(`wrote ${out} (${format}, ${dtype})\n`);
    expect(code).toBe(0);
    expect(await continued(out)).toEqual(await continued(model));
  });

  it('onnx: onnxruntime-node gives the same logits for any batch and length', async () => {
    const out = join(folder, 'tiny.onnx');
    expect((await vitro('export', '--model', model, '--format', 'onnx', '--out', out)).code).toBe(0);
    const session = await InferenceSession.create(out);
    const [input, output] = [session.inputNames[0] as string, session.outputNames[0] as string];
    const opened = await openModel(model);
    for (const rows of [
      [[5, 6, 7, 8, 9]],
      [
        [1, 200, 3],
        [9, 8, 7],
      ],
    ]) {
      const length = rows[0]?.length as number;
      const ids = new Tensor('int32', Int32Array.from(rows.flat()), [rows.length, length]);
      const logits = (await session.run({ [input]: ids }))[output] as Tensor;
      expect(logits.dims).toEqual([rows.length, length, 257]);
      for (const [b, row] of rows.entries())
        for (let t = 0; t < length; t++) {
          const z = Array.from((logits.data as Float32Array).subarray((b * length + t) * 257, (b * length + t + 1) * 257));
          const top = Math.max(...z);
          const norm = top + Math.log(z.reduce((sum, x) => sum + Math.exp(x - top), 0));
          const expected = await nextLogps(opened, row.slice(0, t + 1), 'ort');
          for (const [i, x] of z.entries()) expect(Math.abs(x - norm - (expected[i] as number))).toBeLessThan(1e-3);
        }
    }
    await session.release();
  });

  it.each([
    [['--format', 'onnx', '--dtype', 'q4_0'], 1, /onnx holds f32, not q4_0/],
    [['--format', 'llama2c'], 1, /llama2.c/],
    [['--format', 'pickle'], 2, /Allowed choices are safetensors, gguf, llama2c, onnx/],
  ])('refuses %j', async (argv, code, message) => {
    const result = await vitro('export', '--model', model, '--out', join(folder, 'refused'), ...argv);
    expect(result.err).toMatch(message);
    expect(result.code).toBe(code);
  });
});

describe('llama.cpp', async () => {
  // a machine for which there is no ready-made llama.cpp cannot run this comparison
  const llama = await getLlama({ build: 'never', gpu: false, logLevel: LlamaLogLevel.error, maxThreads: 1 }).catch(() => undefined);

  /** Greedy continuation by llama.cpp, and how it cuts the text. */
  async function continuedByLlama(path: string, prompt: string): Promise<{ tokens: number[]; ids: number[]; text: string }> {
    if (!llama) throw new Error('llama.cpp is not here');
    const loaded = await llama.loadModel({ modelPath: path, gpuLayers: 0 });
    const ids = [
      ...(loaded.tokens.shouldPrependBosToken && loaded.tokens.bos !== null ? [loaded.tokens.bos] : []),
      ...loaded.tokenize(prompt),
    ];
    const context = await loaded.createContext({ contextSize: 64, flashAttention: false });
    const tokens: Token[] = [];
    for await (const token of context.getSequence().evaluate(ids, { temperature: 0 })) if (tokens.push(token) >= 12) break;
    const said = loaded.detokenize(tokens, false, ids);
    await context.dispose();
    await loaded.dispose();
    return { tokens, ids, text: said };
  }

  it.skipIf(!llama)('loads an exported model, cuts text alike and continues it alike', async () => {
    const path = join(folder, 'llama.gguf');
    await vitro('export', '--model', model, '--format', 'gguf', '--dtype', 'f32', '--out', path);
    const [own, other] = [await continued(model), await continuedByLlama(path, text)];
    expect(other.ids).toEqual(own.ids);
    expect(other.tokens).toEqual(own.tokens);
  });

  it.skipIf(!llama || !existsSync(stories))(
    'continues stories260K sensibly (in ../shared/data), and llama2.c files keep model and vocabulary',
    async () => {
      const path = join(folder, 'stories.gguf');
      await vitro('export', '--model', stories, '--format', 'gguf', '--dtype', 'f16', '--out', path);
      const prompt = 'Once upon a time, there was a little';
      const [own, other] = [await continued(stories, prompt), await continuedByLlama(path, prompt)];
      expect(other.ids).toEqual(own.ids);
      expect(other.text).toMatch(/^ girl named Lily\./);
      expect(own.text).toMatch(/^ girl named Lily\./);
      const again = join(folder, 'again', 'stories.bin');
      await vitro('export', '--model', stories, '--format', 'llama2c', '--out', again);
      expect(await continued(again, prompt)).toEqual(own);
    },
  );
});
