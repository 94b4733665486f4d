import { z } from 'zod';
import { flag, nonNegative, oneOf, positive, share, text, whole } from '../config/fields.js';
import { slotChoice } from './slotChoice.js';

/** Keys that the configurations of all training commands share, by TRL's and Hugging Face's names. Texts say what differs between the commands. */

export const optimizationKeys = (usual: {
  readonly learning_rate: string;
  readonly weight_decay: string;
  readonly adam_beta2: string;
  readonly schedule: string;
  readonly warmup_ratio: number;
}) => ({
  optim: text().optional().describe('optimizer: a method of the slot optimizer ("vitro methods --slot optimizer"). Default adamw'),
  learning_rate: positive().optional().describe(`peak learning rate; default: ${usual.learning_rate}`),
  weight_decay: nonNegative().optional().describe(`default ${usual.weight_decay} where the optimizer decays`),
  adam_beta1: share().optional(),
  adam_beta2: share().optional().describe(`default ${usual.adam_beta2}`),
  adam_epsilon: positive().optional(),
  lr_scheduler_type: text()
    .optional()
    .describe(`schedule: a method of the slot schedule, or Hugging Face's names for them. Default ${usual.schedule}`),
  warmup_ratio: share().default(usual.warmup_ratio).describe('share of all steps in which the learning rate rises'),
  warmup_steps: whole(0).optional().describe('overrides warmup_ratio'),
  max_grad_norm: nonNegative().default(1).describe('gradients are scaled down to this global norm; 0 = never'),
  optimizer: slotChoice().optional().describe('settings of the optimizer: {momentum: 0.9}'),
  schedule: slotChoice().optional().describe('settings of the schedule: {decay_ratio: 0.1}'),
});

export const rhythmKeys = (usual: { readonly logging_steps: number; readonly evaluated: string }) => ({
  logging_steps: whole(1).default(usual.logging_steps).describe('a line of metrics.jsonl every so many steps'),
  eval_strategy: oneOf(['steps', 'epoch', 'no']).default('steps').describe(usual.evaluated),
  eval_steps: whole(1).optional().describe('with eval_strategy steps; default: a tenth of all steps'),
  save_steps: whole(0).optional().describe('a checkpoint every so many steps; 0 = only at the end. Default: a tenth of all steps'),
  save_total_limit: whole(1).default(2).describe('older checkpoints are removed'),
});

export const runKeys = (usual: { readonly output_dir: string; readonly run_name: string; readonly dry_run: string }) => ({
  seed: whole(0).default(42),
  threads: whole(1).optional().describe('default: all cores'),
  output_dir: text().optional().describe(`default: ${usual.output_dir}`),
  run_name: text().optional().describe(`default: ${usual.run_name}`),
  report_to: z
    .union([text(), z.array(text())], { error: 'a name or a list of names' })
    .default('jsonl')
    .describe('jsonl (metrics.jsonl, always written) or none'),
  resume_from_checkpoint: z
    .union([flag(), text()], { error: 'true, false or a checkpoint folder within output_dir' })
    .default(true)
    .describe('go on with the run in output_dir if its configuration is equal; a folder checkpoint-N of it goes back to that step'),
  overwrite_output_dir: flag().default(false).describe('start over: removes the run that output_dir holds'),
  dry_run: flag().default(false).describe(usual.dry_run),
});
