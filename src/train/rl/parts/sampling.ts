import { permutation } from '../../../data/stream/permutation.js';
import type { Completion } from '../../../infer/index.js';
import { foldIn } from '../../../tensor/random/threefry.js';
import type { Buffer, Grouping, PolicyView, PromptDataset, Prompts, Rollout, RolloutContext, Scaffold, Scaffolded } from '../contract.js';
import { flatTrajectory, type Prompt, type Trajectory } from '../trajectory.js';

/** The default parts from `prompts` to `buffer`, apart from rewards and filters. */

interface Place {
  taken: number;
}

/** Every problem once in an order of its own in each epoch. */
export const shuffledPrompts: Prompts<Place> = {
  name: 'shuffled',
  init: () => ({ taken: 0 }),
  next: (count, dataset: PromptDataset, { state, key }) => {
    const out: Prompt[] = [];
    for (; out.length < count; state.taken++) {
      const epoch = Math.floor(state.taken / dataset.length);
      const order = permutation(foldIn(key('order', 'run'), epoch), dataset.length);
      out.push(dataset.prompt(order(state.taken % dataset.length)));
    }
    return out;
  },
};

/** The problem as it stands. */
export const plainScaffold: Scaffold = {
  name: 'plain',
  apply: (prompts) => prompts.map((prompt) => ({ prompt, context: prompt.tokens })),
};

/** A completion of a scaffolded problem as a trajectory. `drawn` says which log-probabilities belong to its distribution. */
export function completionTrajectory(
  { prompt, context, replay_context, prefix = '', notes = {} }: Scaffolded,
  { tokens, text, finish_reason, logps, sampling_logps, entropies }: Completion,
  {
    drawn = 'sampling',
    trains = true,
    more = {},
  }: {
    readonly drawn?: 'sampling' | 'model';
    readonly trains?: boolean;
    readonly more?: Trajectory['notes'];
  } = {},
): Trajectory {
  return flatTrajectory({
    prompt,
    context,
    tokens,
    logps: drawn === 'sampling' ? sampling_logps : logps,
    entropies,
    text: prefix + text,
    finish_reason,
    trains,
    notes: { ...notes, ...more },
    ...(replay_context ? { replay_context } : {}),
  });
}

/** Completions of problems, `n` each, as flat trajectories. With mask_truncated_completions those that did not end are compared and do not train. */
export async function sampleFlat(
  prompts: readonly Scaffolded[],
  { policy, settings }: RolloutContext,
  n: number,
  purpose = '',
): Promise<Trajectory[]> {
  const requests = prompts.map(({ prompt, context }, i) => ({ context, n, id: prompt.place ?? i }));
  const completions = await policy.generate(requests, { purpose });
  const mask = settings.mask_truncated_completions === true;
  return prompts.flatMap((p, i) =>
    (completions[i] ?? []).map((c) => completionTrajectory(p, c, { trains: !(mask && c.finish_reason === 'length') })),
  );
}

/** num_generations completions of every problem, independent of each other. */
export const flatRollout: Rollout = {
  name: 'flat',
  defaults: { mask_truncated_completions: false },
  sample: (prompts, context) => sampleFlat(prompts, context, context.num_generations),
};

/** A further completion of every problem that takes the most probable token each time; it does not train. */
export const withGreedy = (inner: Rollout): Rollout => ({
  ...inner,
  name: `${inner.name}+greedy`,
  sample: async (prompts, context) => {
    const sampled = await inner.sample(prompts, context);
    const requests = prompts.map((p, id) => ({ context: p.context, id }));
    const greedy = await context.policy.generate(requests, { purpose: 'greedy', sampling: { temperature: 0 } });
    const extra = prompts.flatMap((p, i) =>
      (greedy[i] ?? []).map((c) => completionTrajectory(p, c, { drawn: 'model', trains: false, more: { greedy: true } })),
    );
    return [...sampled, ...extra];
  },
});

/** The completions of one request are compared with each other. */
export const byPrompt: Grouping = {
  name: 'by-prompt',
  samples: (trajectories, { step }) =>
    trajectories.map((trajectory) => ({
      trajectory,
      segments: trajectory.segments,
      group: `${step}:${trajectory.prompt.place ?? 0}`,
    })),
};

/** Trains on what was sampled now, and keeps nothing. */
export const noBuffer: Buffer = { name: 'none', exchange: ({ samples }) => samples };

/** The policy at a temperature. top_k, top_p and min_p restrict what rollouts draw; training then scores tokens under the unrestricted policy. */
export const temperatureView: PolicyView = {
  name: 'temperature',
  defaults: { temperature: 1, top_k: 0, top_p: 1, min_p: 0 },
  sampling: ({ temperature, top_k, top_p, min_p }) => ({
    temperature: Number(temperature),
    top_k: Number(top_k),
    top_p: Number(top_p),
    min_p: Number(min_p),
  }),
  temperature: ({ temperature }) => Number(temperature),
};
