import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Ledger } from '../../src/contracts/index.js';
import type { CompareSummary } from '../../src/lab/compare.js';
import type { Recipe } from '../../src/lab/recipe.js';
import { summariseRows } from '../../src/lab/rows.js';
import type { RunRecord } from '../../src/lab/runStore.js';

/** Final values by method, one a seed; null is a diverged run. */
export type Values = Readonly<Record<string, readonly (number | null)[]>>;

const ledger: Ledger = {
  tokens_trained: 4000,
  tokens_evaluated: 1234,
  model_flops: 8.25e9,
  optimizer_flops: 0.75e9,
  wall_seconds: 98.7,
  train_seconds: 43.21,
  peak_rss_bytes: 321 * 2 ** 20,
};

const recipeOf = (method: string): Recipe => ({
  optimizer: {
    method,
    settings: method === 'adamw' ? { learning_rate: 0.002, weight_decay: 0.1 } : { learning_rate: 0.02, momentum: 0.95 },
  },
  schedule: { method: 'cosine', settings: { min_lr_ratio: 0 } },
});

/** Lines of a run of 40 steps that ends at `value`: the loss falls in a straight line, two quick evaluations, a full one at the end. */
function metricsOf(value: number): string {
  const lines: Record<string, number>[] = [];
  for (let step = 1; step <= 40; step++)
    lines.push({
      global_step: step,
      num_tokens: 100 * step,
      loss: value + (40 - step) / 10,
      step_time: 0.5,
      ...(step % 15 === 0 ? { 'val/bpb': value + (40 - step) / 20 } : {}),
    });
  lines.push({ global_step: 40, num_tokens: 4000, 'val/bpb': value });
  return `${lines.map((line) => JSON.stringify(line)).join('\n')}\n{"global_step": 41, "lo`;
}

/** Writes run folders as a comparison does and returns its summary. Statistics come from the values by the laboratory's own code. */
export async function comparisonOf(
  out: string,
  values: Values,
  change: Partial<CompareSummary> = {},
): Promise<{ summary: CompareSummary; records: RunRecord[] }> {
  const methods = Object.keys(values);
  const seeds = [...(values[methods[0] ?? ''] ?? []).keys()];
  const task = { args: { max_steps: 40 }, data: { corpus_sha256: 'ab12'.repeat(16) } };
  const testbed = { metric: 'val/bpb', better: 'lower', margin: 0.02, tuned: { adamw: {} } } as const;
  const machine = { platform: 'linux', arch: 'x64', cpu: 'A & B <processor>', cores: 2, memory_bytes: 2 ** 34 };
  const versions = { vitro: '9.8.7', node: '20.20.2', onnxruntime: '1.30.0' };
  const folderOf = (method: string, seed: number): string => `m${methods.indexOf(method)}-seed${seed}`;
  const records = seeds.flatMap((seed) =>
    methods.map((method): RunRecord => {
      const value = values[method]?.[seed] ?? null;
      return {
        ...{
          format: 2,
          hash: 'h',
          testbed: 'shakespeare',
          method,
          seed,
          recipe: recipeOf(method),
          task,
          threads: 1,
          versions,
          ledger,
          machine,
        },
        status: value === null ? 'diverged' : 'finished',
        result: value === null ? {} : { 'val/bpb': value },
        started_at: '2026-01-02T03:04:05.000Z',
        finished_at: '2026-01-02T03:05:05.000Z',
      };
    }),
  );
  for (const record of records) {
    const folder = join(out, folderOf(record.method, record.seed));
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, 'run.json'), JSON.stringify(record));
    await writeFile(join(folder, 'metrics.jsonl'), metricsOf(record.result['val/bpb'] ?? 9));
  }
  const byMethod = Object.fromEntries(methods.map((m) => [m, records.filter((r) => r.method === m)]));
  const summary: CompareSummary = {
    ...{
      format: 2,
      testbed: 'shakespeare',
      summary: 'next byte of Shakespeare',
      ...testbed,
      cost: 'tokens',
      baseline: methods[0] ?? '',
      seeds,
    },
    rows: summariseRows(testbed, methods, byMethod),
    ...{
      protocol: 'Every candidate runs on other seeds.',
      task,
      reused_runs: 0,
      seconds: 5,
      threads: 1,
      parallel: 2,
      out,
      versions,
      machine,
    },
    runs: records.map((r) => folderOf(r.method, r.seed)),
    command: `npx vitro compare ${methods.join(' ')} --testbed shakespeare --seeds ${seeds.length}`,
    ...change,
  };
  return { summary, records };
}
