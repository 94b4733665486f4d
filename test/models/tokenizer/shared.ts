import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { gguf } from '@huggingface/gguf';

const folder = process.env.VITRO_SHARED ?? fileURLToPath(new URL('../../../../shared/data', import.meta.url));

/** Whether the shared data is here; tests that need it are skipped otherwise. */
export const hasShared = existsSync(join(folder, 'tokenizers'));
if (!hasShared) console.warn(`no shared data at ${folder} (set VITRO_SHARED): tests against real tokenizers are skipped`);

export const sharedPath = (path: string): string => join(folder, path);

export function sharedBytes(path: string): Uint8Array {
  const bytes = readFileSync(sharedPath(path));
  return path.endsWith('.gz') ? gunzipSync(bytes) : bytes;
}

export const sharedText = (path: string): string => new TextDecoder().decode(sharedBytes(path));
export const sharedJson = (path: string): unknown => JSON.parse(sharedText(path));

export async function ggufMetadata(name: string): Promise<Record<string, unknown>> {
  const draft = mkdtempSync(join(tmpdir(), 'gguf-'));
  try {
    const file = join(draft, 'vocab.gguf');
    writeFileSync(file, sharedBytes(`tokenizers/ggml-vocab/ggml-vocab-${name}.gguf.gz`));
    return (await gguf(file, { allowLocalFile: true })).metadata as unknown as Record<string, unknown>;
  } finally {
    rmSync(draft, { recursive: true });
  }
}

export interface Vector {
  readonly text: string;
  readonly ids: readonly number[];
}

/** Texts and ids of llama.cpp's vocabulary tests. */
export function testVectors(name: string): Vector[] {
  const all = sharedJson('tokenizers/ggml-vocab/test-vectors.json') as Record<string, { inp: string; out: string }>;
  const { inp, out } = all[name] as { inp: string; out: string };
  const lines = out.split('\n');
  const texts = inp.split('\n__ggml_vocab_test__\n');
  return texts.slice(0, -1).map((text, i) => ({ text, ids: (lines[i] ?? '').trim().split(/\s+/).filter(Boolean).map(Number) }));
}

export const fixture = (name: string): string =>
  readFileSync(fileURLToPath(new URL(`../../../fixtures/tokenizer/${name}`, import.meta.url)), 'utf8');
