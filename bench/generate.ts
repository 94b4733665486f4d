import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LlamaContext, Token } from 'node-llama-cpp';
import { DecodeEngine, generate } from 'vitro/infer';
import { asHuggingFace, byteTokenizer, decoderModel, exportGguf, ggufFieldsOfTokenizer, initModel } from 'vitro/models';
import { array, compile, matmul, type NDArray, type Tensor, zerosArray } from 'vitro/tensor';
import { gpt5m } from './gpt.js';
import { median, round, time } from './measure.js';

const rows = 64;
const promptTokens = 16;
const newTokens = 64;
const gemmSize = 1024;

export interface GenerateBench {
  readonly rows: number;
  readonly threads: number;
  readonly prompt_tokens: number;
  readonly new_tokens: number;
  /** log-probability and entropy of every token included */
  readonly tokens_per_second: number;
  /** share of the time that passes in compiled functions */
  readonly compiled_share: number;
  readonly ms_per_step: number;
  /** part of the time that the weights' products alone would take at the speed of a plain 1024 x 1024 product, prompts included */
  readonly gemm_fraction: number;
  /** llama.cpp on the same weights, 64 sequences in one context; null where it is not here */
  readonly llama_cpp: { readonly f32_tokens_per_second: number; readonly f16_tokens_per_second: number } | null;
  /** our tokens per second over those of llama.cpp */
  readonly over_llama_f32: number | null;
  readonly over_llama_f16: number | null;
}

const config = { ...gpt5m.config, max_position_embeddings: 256 };

const promptOf = (row: number): Int32Array =>
  Int32Array.from({ length: promptTokens }, (_, i) => (row * 131 + i * 7919) % config.vocab_size);

/** Adds up the time in compiled functions. */
class TimedEngine extends DecodeEngine {
  milliseconds = 0;
  steps = 0;

  override async step(...args: Parameters<DecodeEngine['step']>): ReturnType<DecodeEngine['step']> {
    this.steps++;
    return this.#timed(super.step(...args));
  }

  override async prefill(...args: Parameters<DecodeEngine['prefill']>): ReturnType<DecodeEngine['prefill']> {
    return this.#timed(super.prefill(...args));
  }

  async #timed<T>(running: Promise<T>): Promise<T> {
    const started = performance.now();
    const result = await running;
    this.milliseconds += performance.now() - started;
    return result;
  }
}

/** Milliseconds of one generation of every row by llama.cpp: all sequences decoded together in one context. */
async function llamaRun(context: LlamaContext): Promise<number> {
  const sequences = Array.from({ length: rows }, () => context.getSequence());
  const started = performance.now();
  await Promise.all(
    sequences.map(async (sequence, row) => {
      let count = 0;
      const seed = row + 1;
      for await (const _ of sequence.evaluate([...promptOf(row)] as Token[], {
        temperature: 1,
        topK: 0,
        topP: 1,
        minP: 0,
        seed,
        yieldEogToken: true,
      }))
        if (++count >= newTokens) break;
    }),
  );
  const ms = performance.now() - started;
  for (const sequence of sequences) sequence.dispose();
  return ms;
}

/** Floating-point operations per second of plain products, measured on call; memory is warm. */
function gemmProbe(threads: number): () => number {
  const random = (): NDArray =>
    array(
      Float32Array.from({ length: gemmSize ** 2 }, () => Math.random() - 0.5),
      { shape: [gemmSize, gemmSize] },
    );
  const [a, b] = [random(), random()];
  const gemm = compile((x: Tensor, y: Tensor, _out: Tensor) => matmul(x, y), { name: 'gemm', donate: [2], threads });
  let out = gemm.runSync(a, b, zerosArray([gemmSize, gemmSize]));
  return () => {
    const times = Array.from({ length: 8 }, () =>
      time(() => {
        out = gemm.runSync(a, b, out);
      }),
    );
    return (2 * gemmSize ** 3 * 1000) / median(times);
  };
}

interface Peer {
  readonly run: () => Promise<number>;
  readonly dispose: () => Promise<void>;
}

/** llama.cpp with the weights in a GGUF file of its own; undefined where there is none for this machine. */
async function llamaPeer(path: string, threads: number): Promise<Peer | undefined> {
  const { getLlama, LlamaLogLevel } = await import('node-llama-cpp');
  const llama = await getLlama({ build: 'never', gpu: false, logLevel: LlamaLogLevel.error, maxThreads: threads }).catch(() => undefined);
  if (!llama) return undefined;
  const model = await llama.loadModel({ modelPath: path, gpuLayers: 0 });
  const context = await model.createContext({
    contextSize: promptTokens + newTokens,
    sequences: rows,
    batchSize: rows * promptTokens,
    threads,
  });
  return {
    run: () => llamaRun(context),
    dispose: async () => {
      await context.dispose();
      await model.dispose();
      await llama.dispose();
    },
  };
}

/** Generates by turns with Vitro and with llama.cpp on the same weights, so that a noisy machine disturbs all alike. */
export async function benchGenerate({ repeats = 5, peers = true, threads = availableParallelism() } = {}): Promise<GenerateBench> {
  const model = decoderModel(config);
  const params = initModel(model, 1);
  const engine = new TimedEngine(model, { threads });
  const folder = mkdtempSync(join(tmpdir(), 'vitro-generate-'));
  const own: { ms: number; compiled: number; steps: number }[] = [];
  const peak = gemmProbe(threads);
  const peaks: number[] = [];
  const others: { readonly peer: Peer; readonly ms: number[] }[] = [];
  try {
    if (peers) {
      const { tensors, json, transpose } = asHuggingFace({ config, params });
      for (const dtype of ['F32', 'F16'] as const) {
        const path = join(folder, `${dtype}.gguf`);
        await exportGguf(path, {
          tensors,
          config: json,
          transpose,
          dtype,
          tokenizer: ggufFieldsOfTokenizer(byteTokenizer(), config.vocab_size),
        });
        const peer = await llamaPeer(path, threads);
        if (peer) others.push({ peer, ms: [] });
      }
    }
    const prompts = Array.from({ length: rows }, (_, row) => promptOf(row));
    for (let r = -1; r < repeats; r++) {
      peaks.push(peak());
      engine.milliseconds = 0;
      engine.steps = 0;
      const started = performance.now();
      await generate({ model, params, engine, prompts, max_completion_length: newTokens, seed: r + 1, batch_size: rows });
      const ms = performance.now() - started;
      if (r >= 0) own.push({ ms, compiled: engine.milliseconds, steps: engine.steps });
      for (const { peer, ms: times } of others) {
        const other = await peer.run();
        if (r >= 0) times.push(other);
      }
    }
  } finally {
    for (const { peer } of others) await peer.dispose();
    engine.dispose();
    rmSync(folder, { recursive: true });
  }
  const rate = (ms: number): number => (rows * newTokens * 1000) / ms;
  const speed = rate(median(own.map((o) => o.ms)));
  const flops = (rows * (promptTokens + newTokens) * model.trainFlopsPerToken(0)) / 3;
  const [f32, f16] = others.map(({ ms }) => rate(median(ms)));
  return {
    rows,
    threads,
    prompt_tokens: promptTokens,
    new_tokens: newTokens,
    tokens_per_second: round(speed, 0),
    compiled_share: round(median(own.map((o) => o.compiled / o.ms))),
    ms_per_step: round(median(own.map((o) => o.ms / o.steps)), 2),
    gemm_fraction: round((flops / median(peaks)) * (1000 / median(own.map((o) => o.ms)))),
    llama_cpp: f32 && f16 ? { f32_tokens_per_second: round(f32, 0), f16_tokens_per_second: round(f16, 0) } : null,
    over_llama_f32: f32 ? round(speed / f32) : null,
    over_llama_f16: f16 ? round(speed / f16) : null,
  };
}
