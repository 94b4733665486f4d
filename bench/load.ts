import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openCheckpoint, writeSafetensors } from 'vitro/models';
import { fullArray, type NDArray } from 'vitro/tensor';
import { round } from './measure.js';

/** Loading in a fresh process. */
export interface LoadFigures {
  readonly loaded_mb: number;
  /** all tensors to f32, matrices transposed on the way; the file is in the page cache, having just been written */
  readonly load_ms: number;
  /** growth of resident memory at its highest, in sizes of the loaded weights */
  readonly peak_memory_ratio: number;
}

export interface LoadBench {
  /** by the type in the file */
  readonly f32: LoadFigures;
  readonly bf16: LoadFigures;
}

/** Names and shapes of SmolLM2-135M's checkpoint. */
function shapes(): [string, number[]][] {
  const [V, D, F, KV] = [49152, 576, 1536, 192];
  const layer = (n: number): [string, number[]][] => [
    [`model.layers.${n}.input_layernorm.weight`, [D]],
    [`model.layers.${n}.self_attn.q_proj.weight`, [D, D]],
    [`model.layers.${n}.self_attn.k_proj.weight`, [KV, D]],
    [`model.layers.${n}.self_attn.v_proj.weight`, [KV, D]],
    [`model.layers.${n}.self_attn.o_proj.weight`, [D, D]],
    [`model.layers.${n}.post_attention_layernorm.weight`, [D]],
    [`model.layers.${n}.mlp.gate_proj.weight`, [F, D]],
    [`model.layers.${n}.mlp.up_proj.weight`, [F, D]],
    [`model.layers.${n}.mlp.down_proj.weight`, [D, F]],
  ];
  return [['model.embed_tokens.weight', [V, D]], ...Array.from({ length: 30 }, (_, n) => layer(n)).flat(), ['model.norm.weight', [D]]];
}

/** Highest resident memory so far, where the kernel tells. */
function peakResidentBytes(): number {
  try {
    return Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]) * 1024;
  } catch {
    return process.memoryUsage.rss();
  }
}

/** Loads a checkpoint. Run it in a process of its own: it reports that process's memory. */
export async function measureLoad(path: string): Promise<LoadFigures> {
  const before = process.memoryUsage.rss();
  const started = performance.now();
  const { source } = await openCheckpoint(path);
  const loaded = new Map<string, NDArray>();
  for (const name of source.names) loaded.set(name, await source.read(name, { transpose: name.includes('_proj.') }));
  await source.close();
  const ms = performance.now() - started;
  const bytes = [...loaded.values()].reduce((sum, t) => sum + t.data.byteLength, 0);
  return {
    loaded_mb: round(bytes / 1e6, 0),
    load_ms: round(ms, 0),
    peak_memory_ratio: round((peakResidentBytes() - before) / bytes, 3),
  };
}

/** Writes checkpoints of SmolLM2-135M's shape and has each loaded by `measure`. */
export async function benchLoad(measure: (path: string) => LoadFigures): Promise<LoadBench> {
  const folder = mkdtempSync(join(tmpdir(), 'vitro-load-'));
  const run = async (dtype: 'f32' | 'bf16'): Promise<LoadFigures> => {
    const path = join(folder, `${dtype}.safetensors`);
    const tensors = shapes().map(([name, shape], i) => {
      const load = async (): Promise<NDArray> => fullArray(shape, 1 / (i + 2));
      return [name, { dtype: 'f32' as const, shape, load }] as const;
    });
    await writeSafetensors(path, tensors, { dtype });
    return measure(path);
  };
  try {
    return { f32: await run('f32'), bf16: await run('bf16') };
  } finally {
    rmSync(folder, { recursive: true });
  }
}
