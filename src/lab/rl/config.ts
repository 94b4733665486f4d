import { z } from 'zod';
import { flag, knob, positive, text, whole } from '../config/fields.js';
import { dataKeys, modelKeys } from '../training/dataKeys.js';
import { optimizationKeys, rhythmKeys, runKeys } from '../training/keys.js';

/** Commands of reinforcement learning; they differ in the recipe that they begin with. */
export type RlVerb = 'grpo' | 'rloo';

/** The learning rate by default, as a share of the optimizer's own. */
export const rlRate = 0.02;

const listOf = (what: string) => z.union([text(), z.array(text())], { error: what });

/** Keys of the commands of reinforcement learning, by TRL's and verl's names where they have one. Settings of the recipe are keys too. */
export const rlKeys = (verb: RlVerb) => ({
  ...modelKeys(),
  ...dataKeys({
    rows: 'problems: a jsonl, json, csv or parquet file, folder, glob or dataset of the hub with the column prompt (a text or messages); further columns reach the rewards',
    eval: 64,
  }),
  task: text()
    .optional()
    .describe('generated problems with a verifier instead of dataset_name, or gsm8k, whose problems come from dataset_name'),
  task_settings: z
    .record(z.string(), z.union([z.number(), z.string(), z.boolean()]), { error: "a record of the task's settings" })
    .optional()
    .describe('settings of the task, e.g. \'{"max_difficulty": 4}\''),
  task_size: whole(1).default(1000).describe('generated problems to train on'),

  reward_funcs: listOf('a file, or several with commas between them')
    .optional()
    .describe(
      'rewards, with commas between them: FILE.ts (or .js; run as your own code; FILE.ts#NAME takes one export), folders of "vitro reward", verifier (that of the task), math (the column answer, compared by value). Default: verifier',
    ),
  reward_weights: z
    .union([z.number(), text(), z.array(z.number())], { error: 'numbers with commas between them' })
    .optional()
    .describe('a weight for each reward, e.g. 1,0.5. Default: 1 each'),

  rl: text().optional().describe(`recipe: a method, with patches joined by +, e.g. grpo+clip-higher+token-mean. Default ${verb}`),
  method_settings: z
    .record(z.string(), z.record(z.string(), knob()), { error: 'a record of settings for each method' })
    .optional()
    .describe('settings by the method that has them, as --set METHOD.KEY=VALUE writes them'),
  adv_estimator: text().optional().describe("verl's name of the recipe: gae (ppo), grpo, rloo, remax, reinforce_plus_plus, opo, ..."),
  loss_agg_mode: text()
    .optional()
    .describe('how token losses become one: token-mean, seq-mean-token-mean, seq-mean-token-sum or seq-mean-token-sum-norm'),
  loss_type: text()
    .optional()
    .describe("TRL's names of the same: grpo (seq-mean-token-mean), bnpo and dapo (token-mean), dr_grpo (seq-mean-token-sum-norm)"),
  importance_sampling_level: text().optional().describe('token, or sequence (adds gspo with its clip)'),

  per_device_train_batch_size: whole(1)
    .optional()
    .describe("TRL's way to say prompts_per_step: completions of a step, times gradient_accumulation_steps, over num_generations"),
  gradient_accumulation_steps: whole(1)
    .optional()
    .describe('see per_device_train_batch_size; larger minibatches add up gradients by max_batch_tokens anyway'),
  max_steps: whole(1).optional().describe('steps in all; goes before num_train_epochs'),
  num_train_epochs: positive().optional().describe('passes over the problems. Default 1'),

  ...optimizationKeys({
    learning_rate: `${rlRate} times the optimizer's own (adamw: ${Number((0.001 * rlRate).toPrecision(2))}); models of a few million parameters take more`,
    weight_decay: '0',
    adam_beta2: '0.999',
    schedule: 'constant',
    warmup_ratio: 0,
  }),
  ...rhythmKeys({
    logging_steps: 1,
    evaluated: 'when the held-out problems are measured during training; they are always measured at the end',
  }),
  eval_on_start: flag().default(true).describe('the held-out problems are measured before the first step too'),
  num_generations_eval: whole(1).default(1).describe('completions of every held-out problem, drawn as in training'),
  log_completions: z
    .union([flag(), z.int().min(0)], { error: 'true, false or a whole number of steps' })
    .optional()
    .describe('shows a few completions every so many steps. Default: a tenth of all steps; false or 0 = never. completions.jsonl has all'),
  num_completions_to_print: whole(1).default(2).describe('how many'),
  profile: flag().default(false).describe("shows at the end where a step's time went"),
  ...runKeys({
    output_dir: `runs/${verb}-RUN_NAME`,
    run_name: 'problems and model',
    dry_run: 'print what would run, with the recipe, problems and steps, and stop',
  }),
});

export type RlConfig = z.output<z.ZodObject<ReturnType<typeof rlKeys>>>;
