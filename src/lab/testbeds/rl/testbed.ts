import type { Settings } from '../../../contracts/index.js';
import type { ScheduleMethod } from '../../../optim/schedule/index.js';
import type { OptimizerMethod } from '../../../optim/transform/index.js';
import type { NamedReward } from '../../../train/rl/index.js';
import { type RlArguments, trainRl } from '../../../train/rl.js';
import { type BaseModel, baseIdentity, loadBase } from '../../bases/index.js';
import { rlRecipe } from '../../composition.js';
import { partOf, type Recipe } from '../../recipe.js';
import type { Testbed } from '../testbed.js';
import { tunedSettings } from '../tuned.js';
import { type EvaluationSet, evaluatePolicy } from './evaluate.js';
import { exactReward, type Problems } from './problems.js';

/** A testbed of reinforcement learning from a base model. */
export interface RlTestbedAbout extends Pick<Testbed, 'id' | 'summary' | 'metric' | 'better' | 'margin'> {
  readonly base: BaseModel;
  /** problems to train on and to be measured on; made once */
  data(): { readonly train: Problems; readonly evaluation: readonly EvaluationSet[] };
  /** default: the exact verifier */
  rewards?(train: Problems): readonly NamedReward[];
  readonly args: RlArguments & { readonly max_steps: number };
  /** settings that all methods share; they go before the methods' own defaults */
  readonly settings: Settings;
  /** methods that are applied behind those that are compared */
  readonly also?: readonly string[];
  /** learning rates to try; default: three around 5e-4 */
  readonly rates?: readonly number[];
  /** further metrics from those of the evaluation sets */
  derived?(metrics: Readonly<Record<string, number>>): Record<string, number>;
}

const defaultRates = [5e-5, 1e-4, 2e-4];

/** Makes a testbed of its description. */
export function rlTestbed(about: RlTestbedAbout): Testbed {
  const { id, summary, metric, better, margin, base, args, settings, also = [], rates = defaultRates } = about;
  let made: ReturnType<RlTestbedAbout['data']> | undefined;
  const data = (): ReturnType<RlTestbedAbout['data']> => {
    made ??= about.data();
    return made;
  };
  const recipeOf = (recipe: Recipe) => {
    const part = recipe.rl as Recipe[string];
    return rlRecipe([part.method, ...also].join('+'), part.settings);
  };
  return {
    id,
    summary,
    metric,
    better,
    margin,
    cost: 'generated tokens',
    base: { rl: 'grpo', optimizer: 'adamw', schedule: 'constant' },
    shared: { optimizer: { weight_decay: 0, learning_rate: defaultRates[1] as number }, rl: settings },
    tuned: tunedSettings(id),
    tuning: { seeds: [1000], candidates: { adamw: rates.map((learning_rate) => ({ learning_rate })) } },
    task: async () => ({
      base: { id: base.id, identity: baseIdentity(base) },
      args,
      ...(also.length > 0 ? { also } : {}),
      train: data().train.fingerprint,
      evaluation: data().evaluation.map(({ name, problems, samples, max_completion_length, decode }) => ({
        name,
        ...(decode ? { decode } : {}),
        problems: problems.fingerprint,
        samples,
        max_completion_length,
      })),
    }),
    steps: () => args.max_steps,
    run: async (chosen, { seed, threads, signal, onMetrics }) => {
      const { model, params: start, tokenizer } = await loadBase(base);
      const { train, evaluation } = data();
      const recipe = recipeOf(chosen);
      const result = await trainRl({
        model,
        start,
        tokenizer,
        recipe,
        optimizer: partOf<OptimizerMethod>(chosen, 'optimizer'),
        schedule: partOf<ScheduleMethod>(chosen, 'schedule'),
        args,
        data: train.rows,
        rewards: about.rewards?.(train) ?? [exactReward(train)],
        seed,
        threads,
        ...(signal ? { signal } : {}),
        ...(onMetrics ? { onMetrics } : {}),
      });
      if (result.status === 'diverged') return { status: 'diverged', metrics: {}, ledger: result.ledger };
      const policy = { model, params: result.params, tokenizer, recipe };
      const own = await evaluatePolicy(policy, evaluation, { threads, ...(signal ? { signal } : {}) });
      const metrics = { ...own, ...about.derived?.(own) };
      onMetrics?.({ global_step: args.max_steps, ...metrics });
      return { status: 'finished', metrics, ledger: result.ledger };
    },
  };
}
