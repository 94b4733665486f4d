import { z } from 'zod';
import { flag, knob, positive, text, whole } from '../config/fields.js';
import { dataKeys, modelKeys } from '../training/dataKeys.js';
import { optimizationKeys, rhythmKeys, runKeys } from '../training/keys.js';

/** Commands that learn from examples. */
export type PostTrainVerb = 'sft' | 'dpo' | 'kto' | 'reward';

/** What a command's keys say differently. */
export interface VerbTexts {
  readonly rows: string;
  readonly loss: string;
  /** the learning rate by default, as a share of the optimizer's own */
  readonly rate: number;
}

const allKeys = (verb: PostTrainVerb, { rows, loss, rate }: VerbTexts) => ({
  ...modelKeys(),
  ...dataKeys({ rows, eval: 512 }),

  loss_type: text().optional().describe(loss),
  method_settings: z
    .record(z.string(), z.record(z.string(), knob()), { error: 'a record of settings for each method' })
    .optional()
    .describe('settings of one method where several have a setting of the same name: {neftune: {neftune_noise_alpha: 5}}'),
  completion_only_loss: flag().default(true).describe('rows with a prompt: only completions are trained on'),
  assistant_only_loss: flag().default(true).describe('rows with messages: only what the assistant says is trained on'),
  step_separator: text().default('\\n').describe('stepwise data: what stands between two steps'),
  precompute_ref_log_probs: flag()
    .default(false)
    .describe('log-probabilities of the reference are computed once before training, so that it is not held'),

  max_length: whole(2).optional().describe("tokens of a sequence; longer ones lose their ends. Default: the model's context, at most 1024"),
  packing: flag().default(false).describe('sequences share rows: the loss is the same, with less padding'),
  per_device_train_batch_size: whole(1).default(8).describe('examples of a batch; with packing, rows for each sequence of an example'),
  per_device_eval_batch_size: whole(1).optional().describe('examples of an evaluation batch; default: as in training'),
  gradient_accumulation_steps: whole(1).default(1).describe('batches whose gradients add up to one step'),
  max_steps: whole(1).optional().describe('steps in all; goes before num_train_epochs'),
  num_train_epochs: positive().optional().describe('passes over the examples. Default 1'),

  ...optimizationKeys({
    learning_rate: `${rate} times the optimizer's own (adamw: ${Number((0.001 * rate).toPrecision(2))}); models of a few million parameters take more`,
    weight_decay: '0',
    adam_beta2: '0.999',
    schedule: 'linear',
    warmup_ratio: 0,
  }),
  ...rhythmKeys({
    logging_steps: 10,
    evaluated: 'when the held-out examples are measured during training; they are always measured at the end',
  }),
  ...runKeys({
    output_dir: `runs/${verb}-RUN_NAME`,
    run_name: 'dataset and model',
    dry_run: 'print what would run, with examples, steps and tokens, and stop',
  }),
});

/** Keys that only some commands have. */
const onlyFor = {
  completion_only_loss: ['sft'],
  assistant_only_loss: ['sft'],
  precompute_ref_log_probs: ['dpo', 'kto'],
  step_separator: ['reward'],
} as const satisfies Readonly<Record<string, readonly PostTrainVerb[]>>;

type AllKeys = ReturnType<typeof allKeys>;

/** Keys of the commands that learn from examples, by TRL's names where it has one. Settings of the losses are keys too. */
export const exampleKeys = (verb: PostTrainVerb, texts: VerbTexts): Omit<AllKeys, keyof typeof onlyFor> & Partial<AllKeys> =>
  Object.fromEntries(
    Object.entries(allKeys(verb, texts)).filter(([key]) => {
      const verbs: readonly PostTrainVerb[] | undefined = onlyFor[key as keyof typeof onlyFor];
      return verbs?.includes(verb) ?? true;
    }),
  ) as unknown as Omit<AllKeys, keyof typeof onlyFor> & Partial<AllKeys>;

type AllConfig = z.output<z.ZodObject<AllKeys>>;
export type PostTrainConfig = Omit<AllConfig, keyof typeof onlyFor> & Partial<Pick<AllConfig, keyof typeof onlyFor>>;
