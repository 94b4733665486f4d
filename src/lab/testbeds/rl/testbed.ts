import type { Settings } from '../../../contracts/index.js';
import type { ScheduleMethod } from '../../../optim/schedule/index.js';
import type { OptimizerMethod } from '../../../optim/transform/index.js';
import type { NamedReward, RlRecipe } from '../../../train/rl/index.js';
import { type RlArguments, type RlResult, trainRl } from '../../../train/rl.js';
import { type BaseModel, baseIdentity, loadBase } from '../../bases/index.js';
import { rlRecipe } from '../../composition.js';
import { partOf, type Recipe } from '../../recipe.js';
import type { RunHooks, Testbed } from '../testbed.js';
import { tunedSettings } from '../tuned.js';
import { type EvaluatedPolicy, type EvaluationSet, evaluatePolicy } from './evaluate.js';
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
  /** learning rates to try; default: two */
  readonly rates?: readonly number[];
  /** further metrics from those of the evaluation sets */
  derived?(metrics: Readonly<Record<string, number>>): Record<string, number>;
}

const defaultRates = [1e-4, 2e-4];

/** The composition that a testbed runs for a recipe: with what the testbed applies itself, whose settings the recipe does not know. */
export function compositionOf({ also = [], settings }: Pick<RlTestbedAbout, 'also' | 'settings'>, { rl }: Recipe): RlRecipe {
  const part = rl as Recipe[string];
  const spec = [part.method, ...also].join('+');
  const known = rlRecipe(spec).settings;
  const own = Object.fromEntries(Object.entries(settings).filter(([key]) => Object.hasOwn(known, key)));
  return rlRecipe(spec, { ...own, ...part.settings });
}

/** One run of a testbed: trains its base with a recipe, and keeps the policy. */
export async function trainOn(
  about: Pick<RlTestbedAbout, 'base' | 'args' | 'rewards' | 'settings' | 'also'>,
  train: Problems,
  chosen: Recipe,
  { seed, threads, signal, onMetrics }: RunHooks,
): Promise<{ readonly policy: EvaluatedPolicy; readonly result: RlResult }> {
  const { model, params: start, tokenizer } = await loadBase(about.base);
  const recipe = compositionOf(about, chosen);
  const result = await trainRl({
    model,
    start,
    tokenizer,
    recipe,
    optimizer: partOf<OptimizerMethod>(chosen, 'optimizer'),
    schedule: partOf<ScheduleMethod>(chosen, 'schedule'),
    args: about.args,
    data: train.rows,
    rewards: about.rewards?.(train) ?? [exactReward(train)],
    seed,
    threads,
    ...(signal ? { signal } : {}),
    ...(onMetrics ? { onMetrics } : {}),
  });
  return { policy: { model, params: result.params, tokenizer, recipe }, result };
}

/** Metrics of every testbed that may decide in its place, with their directions and margins. */
const measured: Testbed['others'] = {
  ...Object.fromEntries(
    ['pass@1', 'pass@4', 'pass@16', 'maj@8', 'cot_pass@1', 'concise'].map((m) => [m, { better: 'higher', margin: 0.02 }]),
  ),
  'distinct@8': { better: 'higher', margin: 0.05 },
  'distinct@16': { better: 'higher', margin: 0.05 },
  length: { better: 'lower', margin: 1 },
};

/** Makes a testbed of its description. */
export function rlTestbed(about: RlTestbedAbout): Testbed {
  const { id, summary, metric, better, margin, base, args, settings, also = [], rates = defaultRates } = about;
  let made: ReturnType<RlTestbedAbout['data']> | undefined;
  const data = (): ReturnType<RlTestbedAbout['data']> => {
    made ??= about.data();
    return made;
  };
  return {
    id,
    summary,
    metric,
    better,
    margin,
    cost: args.max_steps > 60 ? 'generated tokens' : 'completions, up to a budget of generated tokens',
    base: { rl: 'grpo', optimizer: 'adamw', schedule: 'constant' },
    shared: { optimizer: { weight_decay: 0, learning_rate: defaultRates[0] as number }, rl: settings },
    others: measured,
    tuned: tunedSettings(id),
    tuning: { seeds: [1000], candidates: { adamw: rates.map((learning_rate) => ({ learning_rate })) } },
    task: async () => ({
      base: { id: base.id, identity: baseIdentity(base) },
      args,
      ...(also.length > 0 ? { also, settings } : {}),
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
    run: async (chosen, hooks) => {
      const { threads, signal, onMetrics } = hooks;
      const { train, evaluation } = data();
      const { policy, result } = await trainOn(about, train, chosen, hooks);
      if (result.status === 'diverged') return { status: 'diverged', metrics: {}, ledger: result.ledger };
      const own = await evaluatePolicy(policy, evaluation, { threads, ...(signal ? { signal } : {}) });
      const metrics = { ...own, ...about.derived?.(own) };
      onMetrics?.({ global_step: args.max_steps, ...metrics });
      return { status: 'finished', metrics, ledger: result.ledger };
    },
  };
}
