import type { BatchSource } from '../../src/data/stream/batch.js';
import { randomWindows } from '../../src/data/stream/windows.js';
import { memoryTokens } from '../../src/data/tokens/tokenStore.js';
import { type DecoderConfig, decoderModel, initModel } from '../../src/models/index.js';
import { schedules } from '../../src/optim/schedule/index.js';
import { optimizers } from '../../src/optim/transform/index.js';
import { foldIn, type NDArray, randomKey, type Tree, treeEntries } from '../../src/tensor/index.js';
import { objectives } from '../../src/train/objective/index.js';
import type { MetricsLine, PretrainOptions, PretrainRecipe } from '../../src/train/pretrain.js';
import { pretrain } from '../../src/train/pretrain.js';

export const tinyConfig: DecoderConfig = {
  vocab_size: 32,
  hidden_size: 16,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  intermediate_size: 24,
  max_position_embeddings: 16,
};
export const tinyModel = decoderModel(tinyConfig);

/** A method with its defaults and some settings. */
export function chosen<M extends { readonly defaults: object }>(table: Readonly<Record<string, M>>, id: string, change = {}) {
  const method = table[id];
  if (!method) throw new Error(`no method ${id}`);
  return { method, settings: { ...method.defaults, ...change } as Record<string, number | string | boolean> };
}

export const recipeWith = ({
  optimizer = 'sgd',
  settings = {},
  schedule = 'constant',
  objective = 'next-token',
}: {
  readonly optimizer?: string;
  readonly settings?: object;
  readonly schedule?: string;
  readonly objective?: string;
} = {}): PretrainRecipe => ({
  optimizer: chosen(optimizers, optimizer, settings),
  schedule: chosen(schedules, schedule),
  objective: chosen(objectives, objective),
});

export const ids = (n: number, vocab = 32): Uint8Array => Uint8Array.from({ length: n }, (_, i) => (i * i * 7 + i * 3) % vocab);

export const windows = (batch_size = 2, context = 16): BatchSource =>
  randomWindows(memoryTokens(ids(600), { vocab_size: 32 }), { key: foldIn(randomKey(3), 1), batch_size, context });

/** A few steps of the tiny model; the log beside the result. */
export async function train(change: Partial<PretrainOptions> = {}) {
  const lines: MetricsLine[] = [];
  const result = await pretrain({
    model: tinyModel,
    recipe: recipeWith(),
    args: { max_steps: 2, logging_steps: 1, max_grad_norm: 0 },
    data: windows(),
    evaluation: [],
    seed: 0,
    threads: 1,
    onMetrics: (line) => lines.push(line),
    ...change,
  });
  return { result, lines };
}

/** Values of a parameter tree by path. */
export const valuesOf = (params: unknown): Record<string, number[]> =>
  Object.fromEntries(treeEntries<NDArray>(params as Tree<NDArray>).map(([path, x]) => [path, x.toNumbers()]));

export const startValues = (seed: number): Record<string, number[]> => valuesOf(initModel(tinyModel, seed));

/** The largest difference between two trees of values. */
export function distance(a: Record<string, number[]>, b: Record<string, number[]>): number {
  if (Object.keys(a).join() !== Object.keys(b).join()) throw new Error('the trees differ in their paths');
  return Math.max(...Object.keys(a).flatMap((path) => (a[path] ?? []).map((x, i) => Math.abs(x - (b[path]?.[i] as number)))));
}
