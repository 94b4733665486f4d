import { share, text, whole } from '../config/fields.js';

/** Keys that name model, tokenizer and rows of runs that go on from a model. */

export const modelKeys = () => ({
  model_name_or_path: text()
    .optional()
    .describe('the model to start from: a folder, .gguf or .bin file, the output of another run, or a model of the hub'),
  tokenizer: text().optional().describe("folder or file of the tokenizer; default: the model's own"),
  chat_template_path: text().optional().describe("Jinja template for rows that hold messages; default: the tokenizer's own"),
});

export const dataKeys = (what: { readonly rows: string; readonly eval: number }) => ({
  dataset_name: text().optional().describe(what.rows),
  dataset_config: text().optional().describe('configuration of a dataset of the hub'),
  dataset_train_split: text().optional().describe('split to train on; default: train, or the whole file'),
  dataset_test_split: text().optional().describe('split that is only measured; default: a random part, see validation_fraction'),
  eval_dataset_name: text().optional().describe('data that are only measured, named like dataset_name'),
  validation_fraction: share().default(0.1).describe('random share of the rows that is only measured; 0 = none'),
  max_eval_samples: whole(1).default(what.eval).describe('rows that are measured, at most'),
});
