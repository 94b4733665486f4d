import { z } from 'zod';
import { flag, positive, share, text, whole } from '../config/fields.js';
import { optimizationKeys, rhythmKeys, runKeys } from '../training/keys.js';
import { slotChoice } from '../training/slotChoice.js';

const dataset = z.strictObject({
  path: text().describe('a file, folder or glob, a bundled corpus (shakespeare), or a dataset of the hub'),
  name: text().optional(),
  split: text().optional(),
  columns: z.array(text(), { error: 'a list of columns, of which the first is the text' }).optional(),
  fraction: positive().optional(),
});
export type DatasetChoice = z.output<typeof dataset>;

/** Keys of `vitro pretrain`, by TRL's and Hugging Face's names where they have one. */
export const pretrainSchema = z.strictObject({
  model_name_or_path: text().optional().describe('checkpoint to go on from: a folder, file or model of the hub; replaces `model`'),
  model: z
    .union([text(), z.record(z.string(), z.unknown())], { error: 'the name of a preset, or a record of sizes' })
    .optional()
    .describe('preset (gpt-0.4m, gpt-5.7m, gpt-28m), or a record: {preset, hidden_size, num_hidden_layers, ...}; default gpt-0.4m'),

  dataset_name: text()
    .optional()
    .describe('text to train on: shakespeare (bundled), a file, folder or glob (txt, jsonl, csv, parquet), or a dataset of the hub'),
  dataset_config: text().optional().describe('configuration of a dataset of the hub, e.g. wikitext-2-raw-v1'),
  dataset_train_split: text().optional().describe('split to train on; default: train, or the whole file'),
  dataset_test_split: text().optional().describe('split that validates; default: the end of the training text, see validation_fraction'),
  datasets: z
    .array(dataset, { error: 'a list of records {path, name, split, columns, fraction}' })
    .min(1, { error: 'a list of at least one dataset' })
    .optional()
    .describe(
      'a mixture instead of dataset_name: [{path, name, split, columns, fraction}]; default fractions follow the numbers of tokens',
    ),
  eval_dataset_name: text().optional().describe('text that validates, named like dataset_name'),
  validation_fraction: share().default(0.1).describe('share of the end of the training text that validates instead; 0 = no validation'),
  text_column: text().default('text').describe('column that holds the text'),
  document_separator: text()
    .optional()
    .describe('text between the documents of a txt file, e.g. \\n for a document a line; default: a file is one document'),
  tokenizer: text()
    .optional()
    .describe(
      'byte, train:VOCABULARY (byte-level BPE trained on the training text), or a folder or file; default: that of the checkpoint or preset',
    ),
  packing: z
    .union([flag(), z.enum(['windows', 'concat', 'best-fit', 'wrapped', 'bfd'])], {
      error: 'true, false, windows, concat (wrapped) or best-fit (bfd)',
    })
    .optional()
    .describe(
      'windows = random windows over the tokens (false); concat = documents end to end (true); best-fit = whole documents, padded. Default: windows for one document, concat for several',
    ),
  max_length: whole(2).optional().describe("tokens in a row (context); default: the model's"),

  per_device_train_batch_size: whole(1).default(8).describe('rows of a batch'),
  per_device_eval_batch_size: whole(1).optional().describe('rows of an evaluation batch; default: as in training'),
  gradient_accumulation_steps: whole(1).default(1).describe('batches whose gradients add up to one step'),
  max_steps: whole(1).optional().describe('steps in all; goes before num_train_epochs. Default 1000'),
  num_train_epochs: positive().optional().describe('passes over the training tokens'),

  ...optimizationKeys({
    learning_rate: "the optimizer's",
    weight_decay: '0.1',
    adam_beta2: '0.95',
    schedule: 'cosine',
    warmup_ratio: 0.05,
  }),
  ema_decay: share().default(0).describe('decay of a moving average of the weights, evaluated and saved beside them; 0 = none'),

  objective: slotChoice().optional().describe('method of the slot objective. Default next-token'),
  attention: slotChoice().optional().describe('method of the slot attention. Default softmax'),
  position: slotChoice().optional().describe('method of the slot position. Default rope'),
  tokenization: slotChoice().optional().describe('method of the slot tokenization. Default deterministic'),

  ...rhythmKeys({
    logging_steps: 10,
    evaluated: 'when a part of the validation text is scored during training; all of it is scored at the end',
  }),
  eval_tokens: whole(1).default(16384).describe('tokens of an evaluation during training'),
  max_eval_tokens: whole(1).default(1_000_000).describe('tokens of the evaluation at the end, at most'),

  ...runKeys({
    output_dir: 'runs/pretrain-RUN_NAME',
    run_name: 'dataset and model',
    dry_run: 'print what would run, with parameters, tokens, FLOPs and memory, and stop',
  }),
});

export type PretrainConfig = z.output<typeof pretrainSchema>;
export type PretrainInput = z.input<typeof pretrainSchema>;
