import type { Settings } from '../contracts/index.js';
import type { TextCorpus } from '../data/textCorpus.js';
import { loadTinyShakespeare } from '../data/textCorpus.js';
import type { PretrainTask } from '../train/pretrain.js';

/** A small, fixed task on which methods of one slot are compared at equal cost. */
export interface Testbed {
  readonly id: string;
  readonly summary: string;
  readonly metric: string;
  readonly better: 'lower' | 'higher';
  /** differences of the metric below this do not matter: intervals within it are `equivalent` */
  readonly margin: number;
  /** everything but the method and the seed */
  readonly task: PretrainTask;
  readonly corpus: () => Promise<TextCorpus>;
  /** settings shared by all methods that know them (the moments' decay suits short runs) */
  readonly shared: Settings;
  /** settings found by the tuning protocol, by method (results/tuning) */
  readonly tuned: Readonly<Record<string, Settings>>;
  /**
   * The tuning protocol: every candidate of a method is run on the tuning seeds (which no comparison uses) with the full budget; the lowest mean metric wins.
   * All methods have the same number of candidates.
   */
  readonly tuning: { readonly seeds: readonly number[]; readonly candidates: Readonly<Record<string, readonly Settings[]>> };
}

/** Learning-rate candidates: AdamW has one rate; Muon has two, so its six settings are a 3 x 2 grid. */
const shakespeare: Testbed = {
  id: 'shakespeare',
  summary: 'next byte of Shakespeare: a decoder of 0.36M parameters, 717k tokens of the bundled text',
  metric: 'val/bpb',
  better: 'lower',
  margin: 0.02,
  task: {
    model: {
      vocab_size: 256,
      hidden_size: 96,
      num_hidden_layers: 3,
      num_attention_heads: 2,
      intermediate_size: 256,
      max_position_embeddings: 128,
    },
    max_steps: 700,
    per_device_train_batch_size: 8,
    warmup_ratio: 0.1,
    min_lr_ratio: 0,
    max_grad_norm: 1,
    logging_steps: 10,
    eval_steps: 100,
    eval_bytes: 16384,
    eval_batch_size: 16,
  },
  corpus: loadTinyShakespeare,
  shared: { adam_beta2: 0.95, weight_decay: 0.1 },
  tuned: {
    adamw: { learning_rate: 2e-3 },
    muon: { learning_rate: 0.02, adamw_learning_rate: 8e-3 },
  },
  tuning: {
    seeds: [1000, 1001],
    candidates: {
      adamw: [5e-4, 1e-3, 2e-3, 4e-3, 8e-3, 1.6e-2].map((learning_rate) => ({ learning_rate })),
      muon: [0.01, 0.02, 0.04].flatMap((learning_rate) =>
        [2e-3, 8e-3].map((adamw_learning_rate) => ({ learning_rate, adamw_learning_rate })),
      ),
    },
  },
};

/** A comparison in seconds: shows that training works from end to end. Its result says nothing about the methods. */
const smoke: Testbed = {
  ...shakespeare,
  id: 'smoke',
  summary: 'a few steps of a tiny decoder, to check an installation; decides nothing about methods',
  margin: 1,
  task: {
    ...shakespeare.task,
    model: { ...shakespeare.task.model, hidden_size: 16, num_hidden_layers: 1, intermediate_size: 32, max_position_embeddings: 64 },
    max_steps: 20,
    per_device_train_batch_size: 2,
    logging_steps: 2,
    eval_steps: 10,
    eval_bytes: 2048,
    eval_batch_size: 16,
  },
  tuned: {},
  tuning: { seeds: [1000], candidates: { adamw: [{ learning_rate: 1e-3 }, { learning_rate: 1e-2 }] } },
};

/** Every testbed by its id. */
export const testbeds: Readonly<Record<string, Testbed>> = { shakespeare, smoke };
