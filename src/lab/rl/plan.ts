import { countParams } from '../../nn/init.js';
import type { ScheduleMethod } from '../../optim/schedule/index.js';
import type { OptimizerMethod } from '../../optim/transform/index.js';
import type { RlRecipe } from '../../train/rl/compose.js';
import type { RlArguments } from '../../train/rl.js';
import type { Chosen } from '../../train/step.js';
import { partOf, type Recipe } from '../recipe.js';
import { rhythmOf } from '../training/rhythm.js';
import { fineTuningParts } from '../training/slotChoice.js';
import { type StartingModel, startingModel } from '../training/startingModel.js';
import { type RlConfig, type RlVerb, rlRate } from './config.js';
import { type Problems, problemsOf } from './problems.js';
import { rlRecipeOf } from './recipe.js';
import { type Rewards, rewardsOf } from './rewards.js';

/** What a run will do, for people before they start it. */
export interface RlFigures {
  readonly parameters: number;
  readonly vocab_size: number;
  readonly problems: number;
  readonly validation_problems: number;
  readonly prompts_per_step: number;
  readonly num_generations: number;
  readonly max_completion_length: number;
  readonly steps: number;
  readonly epochs: number;
  readonly learning_rate: number;
  readonly rewards: readonly string[];
}

/** Everything that a run needs, resolved from its configuration. */
export interface RlPlan {
  readonly verb: RlVerb;
  readonly config: RlConfig;
  readonly name: string;
  readonly start: StartingModel;
  /** slots and settings of the loop */
  readonly rl: RlRecipe;
  readonly recipe: Recipe;
  readonly optimizer: Chosen<OptimizerMethod>;
  readonly schedule: Chosen<ScheduleMethod>;
  readonly args: RlArguments;
  readonly eval_steps: number;
  readonly problems: Problems;
  readonly rewards: Rewards;
  /** what determines the run's bits, seed and recipe aside */
  readonly task: Readonly<Record<string, unknown>>;
  readonly figures: RlFigures;
}

/** Opens model, problems and rewards of a configuration, checked by the command's schema, and settles every default. */
export async function planRl(verb: RlVerb, checked: object, onStage: (what: string) => void = () => undefined): Promise<RlPlan> {
  const { config, recipe: rl } = rlRecipeOf(verb, checked);
  const { optimizer, schedule } = fineTuningParts(config, { schedule: 'constant', rate: rlRate });
  const recipe: Recipe = { optimizer, schedule, rl: { method: rl.id, settings: rl.settings } };
  onStage('opening the model');
  const start = await startingModel(config);
  onStage('preparing the problems');
  const problems = await problemsOf(config, start);
  const rewards = await rewardsOf(config, problems.verifier);
  const prompts = Number(rl.settings.prompts_per_step);
  const { eval_steps, ...args } = rhythmOf(config, problems.train.length / prompts, { num_train_epochs: 1 });
  const optimizing = partOf<OptimizerMethod>(recipe, 'optimizer');
  const evaluation = { eval_steps, on_start: config.eval_on_start, num_generations: config.num_generations_eval };
  return {
    verb,
    config,
    name: config.run_name ?? `${problems.name}-${start.name}`,
    start,
    rl,
    recipe,
    optimizer: optimizing,
    schedule: partOf<ScheduleMethod>(recipe, 'schedule'),
    args,
    eval_steps,
    problems,
    rewards,
    task: {
      model: start.config,
      start: start.sha256,
      args: { ...args, save_steps: undefined },
      problems: problems.fingerprint,
      tokenizer: start.tokenizer.fingerprint,
      rewards: rewards.fingerprint,
      evaluation,
    },
    figures: {
      parameters: countParams(start.model.specs),
      vocab_size: start.model.vocab_size,
      problems: problems.train.length,
      validation_problems: problems.evaluation.length,
      prompts_per_step: prompts,
      num_generations: Number(rl.settings.num_generations),
      max_completion_length: Number(rl.settings.max_completion_length),
      steps: args.max_steps,
      epochs: (args.max_steps * prompts) / problems.train.length,
      learning_rate: Number(optimizing.settings.learning_rate),
      rewards: rewards.rewards.map(({ name, weight = 1 }) => (weight === 1 ? name : `${weight} ${name}`)),
    },
  };
}
