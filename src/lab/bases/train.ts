import { datasetFromRows } from '../../data/dataset/memory.js';
import { encodeExamples } from '../../data/examples/encode.js';
import { exampleSource } from '../../data/examples/source.js';
import type { TaskDocument } from '../../data/tasks/index.js';
import { type DecoderConfig, decoderModel, initModel, type SerializableTokenizer } from '../../models/index.js';
import type { ParamTree } from '../../nn/param.js';
import { cosine } from '../../optim/schedule/cosine.js';
import { adamw } from '../../optim/transform/adamw.js';
import type { NDArray } from '../../tensor/array.js';
import { foldIn, randomKey } from '../../tensor/random/threefry.js';
import { sft as sftLoss } from '../../train/sft/sft.js';
import { sft } from '../../train/sft.js';

/** How a base model is fine-tuned: everything but its documents. */
export interface BaseTraining {
  readonly max_steps: number;
  /** rows of a batch; every row is packed with several documents */
  readonly rows: number;
  readonly context: number;
  readonly learning_rate: number;
  readonly seed: number;
}

export interface BaseTrainingInput {
  readonly config: DecoderConfig;
  readonly tokenizer: SerializableTokenizer;
  readonly training: BaseTraining;
  /** prompts and what should be written after them; the end-of-text token is added */
  readonly documents: readonly TaskDocument[];
  /** weights to go on from; default: random ones */
  readonly start?: ParamTree<NDArray>;
  readonly threads?: number;
  readonly onProgress?: (step: number, steps: number, loss: number) => void;
}

/** Fine-tunes a small decoder on worked solutions, prompts left out of the loss. */
export async function trainBase(input: BaseTrainingInput): Promise<ParamTree<NDArray>> {
  const { config, tokenizer, training, documents, threads, onProgress } = input;
  const { max_steps, rows, context, learning_rate, seed } = training;
  const model = decoderModel(config);
  const set = await encodeExamples(datasetFromRows(documents.map((d) => ({ ...d }))), tokenizer, { kind: 'sft', max_length: context });
  const data = exampleSource(set, { batch_size: rows * 16, context, rows, key: foldIn(randomKey(seed), 1) });
  const { params } = await sft({
    model,
    start: input.start ?? (initModel(model, seed) as ParamTree<NDArray>),
    args: { max_steps, warmup_ratio: 0.05, max_grad_norm: 1, logging_steps: 50 },
    data,
    seed,
    recipe: {
      optimizer: { method: adamw, settings: { ...adamw.defaults, adam_beta2: 0.98, weight_decay: 0.1, learning_rate } },
      schedule: { method: cosine, settings: { ...cosine.defaults, min_lr_ratio: 0.1 } },
      losses: [{ method: sftLoss, settings: sftLoss.defaults }],
    },
    ...(threads ? { threads } : {}),
    onMetrics: ({ global_step, loss }) => onProgress?.(global_step ?? 0, max_steps, loss ?? Number.NaN),
  });
  return params;
}
