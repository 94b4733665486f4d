import { createHash } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheDir } from '../../data/cacheDir.js';
import { loadTinyShakespeare, splitText, type TextCorpus } from '../../data/textCorpus.js';
import { openSafetensors } from '../../models/checkpoint/safetensors.js';
import { writeSafetensors } from '../../models/checkpoint/safetensorsWrite.js';
import { decoderModel } from '../../models/index.js';
import type { ParamTree } from '../../nn/param.js';
import { cosine } from '../../optim/schedule/cosine.js';
import { linear } from '../../optim/schedule/linear.js';
import { adamw } from '../../optim/transform/adamw.js';
import type { NDArray } from '../../tensor/array.js';
import { type Tree, treeEntries, treeUnflatten } from '../../tensor/tree.js';
import { nextToken } from '../../train/objective/nextToken.js';
import { type PretrainRecipe, pretrain } from '../../train/pretrain.js';
import { readVersions } from '../machine.js';
import { completeRecipe } from '../recipe.js';
import { canonicalJson } from '../runStore.js';
import { loopRecipe, modelOf, once, pretrainingTestbed } from './pretraining.js';
import type { Testbed } from './testbed.js';
import { byteData, shakespeare, shakespeareModel, textShape } from './text.js';
import { tunedSettings } from './tuned.js';

/** The same plays in capitals: a text that a model of Shakespeare knows how to say but not how to spell. */
const capitals = once(async (): Promise<TextCorpus> => {
  const { train, validation } = await loadTinyShakespeare();
  const upper = (bytes: Uint8Array): Uint8Array => bytes.map((b) => (b >= 97 && b <= 122 ? b - 32 : b));
  const text = Buffer.concat([upper(train), upper(validation)]);
  return splitText('tinyshakespeare in capitals', text);
});

const config = { ...shakespeareModel, vocab_size: 256 };
const baseSeed = 77;

/** How the base model is trained: the shakespeare testbed's own baseline. */
const baseRecipe: PretrainRecipe = {
  optimizer: { method: adamw, settings: { ...adamw.defaults, adam_beta2: 0.95, weight_decay: 0.1, learning_rate: 2e-3 } },
  schedule: { method: cosine, settings: { ...cosine.defaults, min_lr_ratio: 0 } },
  objective: { method: nextToken, settings: {} },
};
const baseArgs = { max_steps: 400, warmup_ratio: 0.1, max_grad_norm: 1 };

/** What determines the base model's weights. */
const baseIdentity = {
  seed: baseSeed,
  config,
  args: baseArgs,
  optimizer: baseRecipe.optimizer.settings,
  shape: textShape,
  versions: readVersions(),
};

/** A decoder trained on Shakespeare, made once on this machine and kept in the cache folder. */
const baseModel = once(async (): Promise<ParamTree<NDArray>> => {
  const model = decoderModel(config);
  const folder = join(cacheDir(), 'base-models');
  const path = join(folder, `${createHash('sha256').update(canonicalJson(baseIdentity)).digest('hex').slice(0, 16)}.safetensors`);
  try {
    const source = await openSafetensors(path);
    const names = treeEntries(model.specs as Tree<unknown>).map(([name]) => name);
    const arrays = await Promise.all(names.map((name) => source.read(name))).finally(() => source.close());
    return treeUnflatten(model.specs, arrays) as ParamTree<NDArray>;
  } catch {
    // not there yet, or unreadable: it is made again
  }
  const { source } = byteData(await loadTinyShakespeare(), textShape);
  const { params } = await pretrain({
    model,
    recipe: baseRecipe,
    args: baseArgs,
    data: source(baseSeed),
    evaluation: [],
    seed: baseSeed,
    threads: 1,
  });
  await mkdir(folder, { recursive: true });
  await writeSafetensors(path, treeEntries<NDArray>(params as Tree<NDArray>));
  return params;
});

/** Every run donates its parameters to the engine, so each gets its own. */
const copyOf = (params: ParamTree<NDArray>): ParamTree<NDArray> =>
  treeUnflatten(
    params,
    treeEntries<NDArray>(params as Tree<NDArray>).map(([, p]) => p.clone()),
  ) as ParamTree<NDArray>;

const finetuneCandidates: Testbed['tuning']['candidates'] = {
  mezo: [3e-5, 1e-4, 3e-4, 1e-3, 2e-3, 4e-3].map((learning_rate) => ({ learning_rate })),
  fzoo: [3e-4, 1e-3, 2e-3, 3e-3, 6e-3, 1e-2].map((learning_rate) => ({ learning_rate })),
  'zo-fo': [1e-4, 1e-3].flatMap((learning_rate) =>
    [0.1, 0.3, 1].map((first_order_learning_rate) => ({ learning_rate, first_order_learning_rate })),
  ),
  adamw: [3e-5, 1e-4, 3e-4, 1e-3, 2e-3, 4e-3].map((learning_rate) => ({ learning_rate })),
};

/** Fine-tuning at equal evaluations of the loss: where zeroth-order optimizers meet each other and gradients. */
export const finetuneShakespeare: Testbed = pretrainingTestbed({
  id: 'finetune-shakespeare',
  summary: 'a decoder of Shakespeare learns to write in capitals, with 600 passes over a batch to spend (a gradient counts 3)',
  metric: 'val/bpb',
  better: 'lower',
  margin: 0.02,
  cost: 'passes over a batch',
  model: shakespeareModel,
  args: { max_steps: 1, warmup_ratio: 0, max_grad_norm: 1, logging_steps: 20, eval_steps: 0 },
  max_forward_passes: 600,
  base: { schedule: 'linear' },
  data: once(async () => byteData(await capitals(), textShape)),
  start: { identity: baseIdentity, params: async () => copyOf(await baseModel()) },
  tuning: { seeds: [1000], candidates: finetuneCandidates },
});

/** A schedule is judged by what fine-tuning makes of its model: pretraining with the recipe, then always the same fine-tuning. */
export const pretrainThenFinetune: Testbed = {
  ...shakespeare,
  id: 'pretrain-then-finetune',
  summary: 'pretrain on Shakespeare with the recipe, then 150 equal steps on the text in capitals; bits per byte after both',
  metric: 'val/bpb',
  tuned: tunedSettings('pretrain-then-finetune'),
  base: { ...shakespeare.base, schedule: 'wsd' },
  task: async (recipe) => ({
    ...(await shakespeare.task(recipe)),
    afterwards: { corpus: (await capitals()).sha256, steps: finetuneSteps, rate: finetuneRate },
  }),
  steps: (recipe) => shakespeare.steps(recipe) + finetuneSteps,
  run: async (recipe, hooks) => {
    const { seed, threads, signal, onMetrics } = hooks;
    const model = modelOf(config, recipe);
    const shared = { model, seed, threads, ...(signal ? { signal } : {}) };
    const first = await pretrain({
      ...shared,
      recipe: loopRecipe(recipe),
      args: { max_steps: 400, warmup_ratio: 0.1, max_grad_norm: 1, logging_steps: 10, eval_steps: 100 },
      data: byteData(await loadTinyShakespeare(), textShape).source(seed),
      evaluation: byteData(await loadTinyShakespeare(), textShape).evaluation.map((set) => ({ ...set, name: 'pretrain' })),
      ...(onMetrics ? { onMetrics } : {}),
    });
    if (first.status === 'diverged') return { status: 'diverged', metrics: {}, ledger: first.ledger };
    const data = byteData(await capitals(), textShape);
    const second = await pretrain({
      ...shared,
      recipe: {
        ...loopRecipe(completeRecipe(shakespeare, 'adamw', { optimizer: { learning_rate: finetuneRate } })),
        schedule: { method: linear, settings: linear.defaults },
      },
      args: { max_steps: finetuneSteps, warmup_ratio: 0.1, max_grad_norm: 1, logging_steps: 10 },
      data: data.source(seed + 1),
      evaluation: data.evaluation,
      start: first.params,
      onMetrics: (line) => onMetrics?.({ ...line, global_step: (line.global_step ?? 0) + 400 }),
    });
    const ledger = Object.fromEntries(
      Object.entries(second.ledger).map(([k, v]) => [k, k === 'peak_rss_bytes' ? v : v + first.ledger[k as keyof typeof first.ledger]]),
    ) as unknown as typeof first.ledger;
    return { status: second.status, metrics: { ...first.metrics, ...second.metrics }, ledger };
  },
};

const finetuneSteps = 150;
const finetuneRate = 5e-4;
