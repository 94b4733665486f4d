import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import type { Settings } from '../../contracts/index.js';
import { loadCorpus } from '../../data/corpora.js';
import { randomWindows, validationBatches } from '../../data/stream/windows.js';
import { loadTinyShakespeare, splitText, type TextCorpus } from '../../data/textCorpus.js';
import { memoryTokens } from '../../data/tokens/tokenStore.js';
import type { DecoderConfig } from '../../models/index.js';
import { foldIn, randomKey } from '../../tensor/random/threefry.js';
import type { PretrainArguments } from '../../train/pretrain.js';
import { once, type PretrainingTestbed, pretrainingTestbed, type TestbedData } from './pretraining.js';
import type { Testbed } from './testbed.js';

export interface TextShape {
  readonly batch_size: number;
  readonly context: number;
  readonly eval_batch_size: number;
  /** bytes of the validation text that a quick evaluation covers */
  readonly quick_bytes: number;
}

/** A text as bytes: random windows of its head train, its tail validates. */
export function byteData(corpus: TextCorpus, shape: TextShape): TestbedData {
  const { batch_size, context, eval_batch_size, quick_bytes } = shape;
  const train = memoryTokens(corpus.train);
  const batches = validationBatches(corpus.validation, eval_batch_size, context);
  return {
    vocab_size: 256,
    identity: { corpus: corpus.id, corpus_sha256: corpus.sha256, ...shape },
    source: (seed) => randomWindows(train, { key: foldIn(randomKey(seed), 1), batch_size, context }),
    evaluation: [{ name: 'val', metric: 'bpb', batches, quick: Math.max(1, Math.floor(quick_bytes / (eval_batch_size * context))) }],
  };
}

const rates = (...values: readonly number[]): Settings[] => values.map((learning_rate) => ({ learning_rate }));
const ratePairs = (hidden: readonly number[], rest: readonly number[], more: Settings = {}): Settings[] =>
  hidden.flatMap((learning_rate) => rest.map((adamw_learning_rate) => ({ learning_rate, adamw_learning_rate, ...more })));

const adamRates = rates(5e-4, 1e-3, 2e-3, 4e-3, 8e-3, 1.6e-2);
const lionRates = rates(2.5e-4, 5e-4, 1e-3, 2e-3, 4e-3, 8e-3);
const muonRates = ratePairs([0.01, 0.02, 0.04], [2e-3, 8e-3]);

/** Learning-rate candidates of the optimizers where training starts from scratch: six each. */
export const scratchCandidates: Testbed['tuning']['candidates'] = {
  sgd: rates(0.1, 0.2, 0.4, 0.8, 1.6, 3.2),
  adam: adamRates,
  adamw: adamRates,
  'cautious-adamw': adamRates,
  'lora-pre': adamRates,
  adafactor: rates(5e-3, 0.01, 0.02, 0.04, 0.08, 0.16),
  lion: lionRates,
  'cautious-lion': lionRates,
  muon: muonRates,
  'muon-4bit': muonRates,
  'lora-pre-muon': muonRates,
  hyperp: ratePairs([0.03, 0.06, 0.12], [2e-3, 8e-3], { weight_decay: 0 }),
};

export const shakespeareModel: Omit<DecoderConfig, 'vocab_size'> = {
  hidden_size: 96,
  num_hidden_layers: 3,
  num_attention_heads: 2,
  intermediate_size: 256,
  max_position_embeddings: 128,
};
const args: PretrainArguments = { max_steps: 400, warmup_ratio: 0.1, max_grad_norm: 1, logging_steps: 10, eval_steps: 100 };
export const textShape: TextShape = { batch_size: 8, context: 128, eval_batch_size: 16, quick_bytes: 16384 };

const shakespeareAbout: PretrainingTestbed = {
  id: 'shakespeare',
  summary: 'next byte of Shakespeare: a decoder of 0.36M parameters, 410k tokens of the bundled text',
  metric: 'val/bpb',
  better: 'lower',
  margin: 0.02,
  model: shakespeareModel,
  args,
  data: once(async () => byteData(await loadTinyShakespeare(), textShape)),
  tuning: { seeds: [1000], candidates: scratchCandidates },
};

export const shakespeare: Testbed = pretrainingTestbed(shakespeareAbout);

/** A comparison in seconds: shows that training works from end to end. Its result says nothing about the methods. */
export const smoke: Testbed = pretrainingTestbed({
  ...shakespeareAbout,
  id: 'smoke',
  summary: 'a few steps of a tiny decoder, to check an installation; decides nothing about methods',
  margin: 1,
  model: { ...shakespeareModel, hidden_size: 16, num_hidden_layers: 1, intermediate_size: 32, max_position_embeddings: 64 },
  args: { ...args, max_steps: 20, logging_steps: 2, eval_steps: 10 },
  data: once(async () => byteData(await loadTinyShakespeare(), { batch_size: 2, context: 64, eval_batch_size: 16, quick_bytes: 2048 })),
  tuning: { seeds: [1000], candidates: { adamw: [{ learning_rate: 1e-3 }, { learning_rate: 1e-2 }] } },
});

/** Next byte of any file: `bytes:PATH`. Same model and budget as shakespeare. */
export const bytesOf = (path: string): Testbed =>
  pretrainingTestbed({
    ...shakespeareAbout,
    id: 'bytes',
    summary: `next byte of ${path}, split 90/10`,
    data: once(async () => byteData(splitText(basename(path), await readFile(path)), textShape)),
  });

/** Next byte of WikiText: `wikitext:FOLDER` with its train and valid files, or `wikitext:hub`. Same model and budget as shakespeare. */
export const wikitextOf = (folder: string): Testbed =>
  pretrainingTestbed({
    ...shakespeareAbout,
    id: 'wikitext',
    summary: `next byte of WikiText from ${folder === 'hub' ? 'the hub' : folder}, split by its authors`,
    data: once(async () => byteData(await loadCorpus('wikitext', folder === 'hub' ? {} : { path: folder }), textShape)),
  });
