import type { Settings, Tokenizer } from '../../contracts/index.js';
import type { CausalModel } from '../../models/index.js';
import type { ParamTree } from '../../nn/param.js';
import type { NDArray } from '../../tensor/array.js';
import { VitroError } from '../../tensor/errors.js';
import { foldIn, randomKey } from '../../tensor/random/threefry.js';
import type { RlRecipe } from './compose.js';
import { Host, textNumber } from './host.js';
import { plainScaffold } from './parts/sampling.js';
import { Policy } from './policy.js';
import { type PromptRow, promptDataset } from './prompts.js';
import { Stopwatch } from './stopwatch.js';
import type { Trajectory } from './trajectory.js';

export interface RolloutSamplesOptions {
  readonly model: CausalModel;
  readonly params: ParamTree<NDArray>;
  readonly tokenizer: Tokenizer;
  /** whose rollout and policyView decode */
  readonly recipe: RlRecipe;
  /** instead of the recipe's, e.g. max_completion_length and budgets of the evaluation, or its temperature */
  readonly settings?: Settings;
  readonly rows: readonly PromptRow[];
  /** of each problem */
  readonly samples: number;
  /** all random choices follow from it */
  readonly seed: number;
  /** default: the tokenizer's eos */
  readonly eos_token_ids?: readonly number[];
  readonly threads?: number;
}

/**
 * Answers as a recipe's rollout gives them, outside of training: for methods that train on budgets, chunks or divisions and have to be measured on them, too
 * (`rollout.decodes`). Problems are seen as they stand, without a scaffold.
 *
 * @returns the trajectories of each row, `samples` each
 * @throws VitroError where the rollout asks for rewards, or gives another number of trajectories
 */
export async function rolloutSamples(options: RolloutSamplesOptions): Promise<Trajectory[][]> {
  const { model, params, tokenizer, recipe, rows, samples, seed, threads } = options;
  const { rollout, policyView } = recipe.slots;
  const settings = { ...recipe.settings, ...options.settings, num_generations: samples };
  const eos = new Set(options.eos_token_ids ?? (tokenizer.eos_token_id === null ? [] : [tokenizer.eos_token_id]));
  const key = randomKey(seed);
  const policy = new Policy({
    model,
    tokenizer,
    view: policyView,
    eos,
    watch: new Stopwatch(),
    threads,
    settings: () => settings,
    params: () => params,
    reference: () => undefined,
    key: (purpose) => foldIn(key, textNumber(purpose)),
    generated: () => undefined,
    scored: () => undefined,
  });
  const dataset = promptDataset(rows, tokenizer);
  const host = new Host({ key, progress: () => 1, tokenizer, eos, rewards: [], problems: rows.length, settings, policy: () => policy });
  const context = host.context('rollout', rollout);
  try {
    const prompts = rows.map((_, place) => ({ ...dataset.prompt(place), place }));
    const plain = await plainScaffold.apply(prompts, host.context('scaffold', plainScaffold));
    const trajectories = await rollout.sample(plain, {
      ...context,
      num_generations: samples,
      score: () =>
        Promise.reject(
          new VitroError(`the rollout ${rollout.name} looks at rewards; answers cannot be sampled with it outside of training`),
        ),
      scaffold: async (own) => plainScaffold.apply(own, host.context('scaffold', plainScaffold)),
    });
    const out = rows.map((_, place) => trajectories.filter((t) => t.prompt.place === place));
    const wrong = out.find((own) => own.length !== samples);
    if (wrong)
      throw new VitroError(
        `the rollout ${rollout.name} gave ${wrong.length} completions of a problem, not ${samples}; choose another number of samples`,
      );
    return out;
  } finally {
    policy.dispose();
  }
}
