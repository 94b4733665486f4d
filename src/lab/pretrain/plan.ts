import type { ParamSpec, Tokenizer } from '../../contracts/index.js';
import type { BatchSource } from '../../data/stream/batch.js';
import type { EvalSet } from '../../evaluate/languageModel.js';
import { type DecoderConfig, decoderModel, decoderParts } from '../../models/index.js';
import { countParams } from '../../nn/init.js';
import type { ParamTree } from '../../nn/param.js';
import type { ScheduleMethod } from '../../optim/schedule/index.js';
import { type Leaves, type OptimizerMethod, stateBytes } from '../../optim/transform/index.js';
import type { NDArray } from '../../tensor/array.js';
import { type Tree, treeEntries } from '../../tensor/tree.js';
import type { ObjectiveMethod } from '../../train/objective/slot.js';
import type { PretrainArguments, PretrainRecipe } from '../../train/pretrain.js';
import { trainedSpecs } from '../../train/step.js';
import { UsageError } from '../names.js';
import { partOf, type Recipe } from '../recipe.js';
import { rhythmOf } from '../training/rhythm.js';
import { evaluationOf, packingOf, tokenize, trainingBatches } from './batches.js';
import type { PretrainConfig } from './config.js';
import { decoderConfigOf, modelChoice } from './model.js';
import { recipeOf } from './recipe.js';
import { openTexts } from './texts.js';
import { tokenizerOf } from './tokenizer.js';

/** What a run will cost, for people before they start it. */
export interface PretrainFigures {
  readonly parameters: number;
  readonly vocab_size: number;
  readonly training_tokens: number;
  readonly validation_tokens: number;
  readonly steps: number;
  readonly tokens_per_step: number;
  readonly tokens: number;
  readonly epochs: number;
  /** of forward and backward, by the count of the cost ledger */
  readonly model_flops: number;
  /** weights, gradients, optimizer state, averages: exact */
  readonly state_bytes: number;
  /** what forward keeps for backward: a rough count of the layers' intermediate values */
  readonly activation_bytes_estimate: number;
}

/** Everything that a run needs, resolved from its configuration. */
export interface PretrainPlan {
  readonly config: PretrainConfig;
  /** by which output folders are named */
  readonly name: string;
  readonly decoder: DecoderConfig;
  readonly recipe: Recipe;
  readonly methods: PretrainRecipe;
  readonly args: PretrainArguments & { readonly max_steps: number };
  readonly tokenizer: Tokenizer;
  readonly data: BatchSource;
  readonly evaluation: readonly EvalSet[];
  readonly start?: ParamTree<NDArray>;
  /** what determines the run's bits, seed and recipe aside */
  readonly task: Readonly<Record<string, unknown>>;
  readonly figures: PretrainFigures;
  close(): void;
}

export interface PlanHooks {
  readonly signal?: AbortSignal;
  /** what is being prepared */
  readonly onStage?: (what: string) => void;
}

const argumentsOf = (config: PretrainConfig, stepsPerEpoch: number): PretrainPlan['args'] => ({
  ...rhythmOf(config, stepsPerEpoch, { max_steps: 1000 }),
  gradient_accumulation_steps: config.gradient_accumulation_steps,
  ema_decay: config.ema_decay,
});

const bytesOf = (specs: readonly ParamSpec[]): number => specs.reduce((n, { shape }) => n + 4 * shape.reduce((a, b) => a * b, 1), 0);

/** Rough: what each layer's products take and give, attention's scores twice, and the logits once. */
function activationBytes(decoder: DecoderConfig, batch: number, context: number): number {
  const { config } = decoderParts(decoder);
  const { hidden_size, intermediate_size, num_attention_heads, num_hidden_layers, vocab_size } = config;
  const perToken = num_hidden_layers * (10 * hidden_size + 4 * intermediate_size + 2 * num_attention_heads * context) + vocab_size;
  return 4 * batch * context * perToken;
}

/** Opens data, tokenizer and model of a configuration and settles every default. */
export async function planPretrain(config: PretrainConfig, hooks: PlanHooks = {}): Promise<PretrainPlan> {
  const { signal, onStage = () => undefined } = hooks;
  const choice = await modelChoice(config);
  const recipe = recipeOf(config, { vocab_size: 1, ...choice.config }, choice.tuned);
  const methods: PretrainRecipe = {
    optimizer: partOf<OptimizerMethod>(recipe, 'optimizer'),
    schedule: partOf<ScheduleMethod>(recipe, 'schedule'),
    objective: partOf<ObjectiveMethod>(recipe, 'objective'),
  };
  const texts = await openTexts(config);
  const tokenizer = await tokenizerOf(config.tokenizer ?? choice.tokenizer, texts, onStage);
  const decoder = decoderConfigOf(choice, config, tokenizer.vocab_size, recipe);
  const tokens = await tokenize(texts, tokenizer, { onStage, ...(signal ? { signal } : {}) });
  const context = config.max_length ?? decoder.max_position_embeddings;
  const rows = { packing: packingOf(config, texts), batch_size: config.per_device_train_batch_size, context };
  const data = trainingBatches(tokens, { ...rows, seed: config.seed, tokenizer, recipe });
  const evaluation = evaluationOf(tokens, config, { ...rows, tokenizer });

  const training_tokens = tokens.reduce((n, { train }) => n + train.num_tokens, 0);
  const tokens_per_step = data.tokensPerBatch * config.gradient_accumulation_steps;
  const args = argumentsOf(config, training_tokens / tokens_per_step);
  const { optimizer } = methods;
  if (optimizer.method.lossEvaluations && config.gradient_accumulation_steps > 1)
    throw new UsageError(
      `${optimizer.method.id} evaluates the loss of a batch itself; use gradient_accumulation_steps 1 and a larger batch`,
    );
  const model = decoderModel(decoder);
  const sizes = { model, batch_size: data.batch_size, context };
  const specs: Leaves<ParamSpec> = Object.fromEntries(treeEntries(trainedSpecs({ model, ...methods, sizes }) as Tree<ParamSpec>));
  const own = bytesOf(Object.values(specs));
  const weights = bytesOf(treeEntries(model.specs as Tree<ParamSpec>).map(([, spec]) => spec));
  const merges = methods.schedule.method.merge !== undefined;
  const parts = config.gradient_accumulation_steps > 1 ? 2 : 1;
  const steps_tokens = args.max_steps * tokens_per_step;
  return {
    config,
    name: config.run_name ?? `${tokens.map(({ name }) => name).join('+')}-${choice.name}`,
    decoder,
    recipe,
    methods,
    args,
    tokenizer,
    data,
    evaluation,
    ...(choice.start ? { start: choice.start.params } : {}),
    task: {
      model: decoder,
      args: { ...args, save_steps: undefined },
      data: data.fingerprint,
      packing: rows.packing,
      tokenizer: tokenizer.fingerprint,
      validation: tokens.map(({ validation }) => validation?.fingerprint ?? null),
      evaluation: {
        batch_size: evaluation[0]?.batches[0]?.inputs.shape[0] ?? 0,
        batches: evaluation[0]?.batches.length ?? 0,
        quick: evaluation[0]?.quick ?? 0,
      },
      ...(choice.start ? { start: choice.start.sha256 } : {}),
    },
    figures: {
      parameters: countParams(model.specs),
      vocab_size: decoder.vocab_size,
      training_tokens,
      validation_tokens: tokens.reduce((n, { validation }) => n + (validation?.num_tokens ?? 0), 0),
      steps: args.max_steps,
      tokens_per_step,
      tokens: steps_tokens,
      epochs: steps_tokens / training_tokens,
      model_flops: steps_tokens * model.trainFlopsPerToken(context),
      state_bytes:
        own * (1 + parts) +
        stateBytes(optimizer.method, specs, optimizer.settings) +
        weights * ((config.ema_decay > 0 ? 1 : 0) + (merges ? 1 : 0)),
      activation_bytes_estimate: activationBytes(decoder, data.batch_size, context),
    },
    close: () => {
      for (const { train, validation } of tokens) {
        train.close();
        validation?.close();
      }
    },
  };
}
