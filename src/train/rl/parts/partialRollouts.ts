import type { HostContext, PolicyService, Rollout, RolloutContext, Scaffolded } from '../contract.js';
import type { Trajectory } from '../trajectory.js';
import { completionTrajectory, sampleFlat } from './sampling.js';

/** What rollouts in several stages share. */

/** The same policy, with random numbers of its own for whatever is drawn in `stage`. */
export const inStage = (policy: PolicyService, stage: string): PolicyService => ({
  generate: (requests, options = {}) => policy.generate(requests, { ...options, purpose: `${stage} ${options.purpose ?? ''}` }),
  logps: (sequences, which) => policy.logps(sequences, which),
  measure: (sequences, measure, which) => policy.measure(sequences, measure, which),
  nudged: (sequences, rate, use) => policy.nudged(sequences, rate, use),
});

/** The context of a rollout that another one wraps. */
export const innerRollout = (inner: Rollout, context: RolloutContext, more: Partial<RolloutContext> = {}): RolloutContext => ({
  ...context,
  ...context.of(inner),
  ...more,
});

/** Trajectories by the request that they answer, in the order of the requests. */
export function byRequest(prompts: readonly Scaffolded[], trajectories: readonly Trajectory[]): Trajectory[][] {
  const own = new Map(prompts.map(({ prompt }, i) => [prompt.place ?? i, [] as Trajectory[]]));
  for (const t of trajectories) own.get(t.prompt.place ?? 0)?.push(t);
  return [...own.values()];
}

/** A completion of each context, whatever problems they belong to; `stage` names the random numbers. */
export const oneEach = (contexts: readonly Scaffolded[], context: RolloutContext, stage: string): Promise<Trajectory[]> => {
  // the place of a request names its random numbers, and here several requests have one problem
  const policy: PolicyService = {
    ...inStage(context.policy, stage),
    generate: (requests, options = {}) =>
      context.policy.generate(
        requests.map((r, id) => ({ ...r, id })),
        { ...options, purpose: stage },
      ),
  };
  return sampleFlat(contexts, { ...context, policy }, 1);
};

/** Numbers of the tokens of a completion that was put together, in its order. */
export interface Joined {
  readonly tokens: readonly number[];
  readonly logps: ArrayLike<number>;
  readonly entropies: ArrayLike<number>;
}

/** A completion that was put together from several draws, as a trajectory. */
export function joinedTrajectory(
  from: Scaffolded,
  { tokens, logps, entropies }: Joined,
  { tokenizer, eos, settings }: Pick<RolloutContext, 'tokenizer' | 'eos' | 'settings'>,
  more: Trajectory['notes'] = {},
): Trajectory {
  const stopped = eos.has(tokens.at(-1) ?? -1);
  const own = Float32Array.from(logps);
  return completionTrajectory(
    from,
    {
      prompt: 0,
      index: 0,
      tokens: Int32Array.from(tokens),
      text: tokenizer.decode(stopped ? tokens.slice(0, -1) : tokens, { skip_special_tokens: true }),
      finish_reason: stopped ? 'stop' : 'length',
      logps: own,
      sampling_logps: own,
      entropies: Float32Array.from(entropies),
    },
    { trains: stopped || settings.mask_truncated_completions !== true, more },
  );
}

/** A setting that is a list of numbers. */
export const numberList = ({ settings }: HostContext, name: string): readonly number[] => {
  const value = settings[name];
  return Array.isArray(value) ? (value as readonly number[]) : [Number(value)];
};
