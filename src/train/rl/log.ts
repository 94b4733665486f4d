import type { JsonValue } from '../../data/stream/batch.js';
import type { RolloutBatch } from './batch.js';
import type { Host } from './host.js';
import { deviation } from './parts/advantage.js';
import type { Trajectory } from './trajectory.js';

/** One line of the completions table. */
export type CompletionRow = Readonly<Record<string, JsonValue>>;

const meanOf = (x: readonly number[]): number => x.reduce((a, b) => a + b, 0) / Math.max(1, x.length);

const generatedTokens = ({ segments }: Trajectory): number => segments.reduce((n, s) => n + s.actions.reduce((a, b) => a + b, 0), 0);

/** Metrics of what was sampled, before filter and buffer, by TRL's names. Samples that do not train (baselines) are left out. */
export function rolloutMetrics(batch: RolloutBatch): Record<string, number> {
  const own = batch.training;
  const samples = own.map((n) => batch.samples[n]).filter((s) => s !== undefined);
  const trajectories = [...new Set(samples.map((s) => s.trajectory))];
  const lengths = trajectories.map(generatedTokens);
  const ended = trajectories.filter((t) => t.finish_reason === 'stop').map(generatedTokens);
  const spreads = Array.from({ length: batch.groups }, (_, g) => {
    const { start, end } = batch.group(g);
    return deviation(batch.rewards.subarray(start, end));
  });
  const names = new Set(samples.flatMap((s) => Object.keys(s.rewards)));
  const parts = [...names].flatMap((name) => {
    const values = samples.flatMap((s) => s.rewards[name] ?? []);
    return [
      [`rewards/${name}/mean`, meanOf(values)],
      [`rewards/${name}/std`, values.length > 1 ? deviation(values) : 0],
    ] as const;
  });
  const entropies = trajectories.flatMap((t) => t.segments.flatMap((s) => Array.from(s.entropies).filter((_, j) => s.actions[j] === 1)));
  return {
    reward: meanOf(own.map((n) => batch.rewards[n] as number)),
    reward_std: meanOf(spreads),
    frac_reward_zero_std: meanOf(spreads.map((s) => (s === 0 ? 1 : 0))),
    ...Object.fromEntries(parts),
    entropy: meanOf(entropies),
    'completions/mean_length': meanOf(lengths),
    'completions/min_length': lengths.length > 0 ? Math.min(...lengths) : 0,
    'completions/max_length': Math.max(0, ...lengths),
    'completions/mean_terminated_length': meanOf(ended),
    'completions/clipped_ratio': 1 - ended.length / Math.max(1, trajectories.length),
  };
}

/** Says why a loss or a gradient is 0 where a user would wonder. */
export function explain(batch: RolloutBatch, metrics: Readonly<Record<string, number>>, host: Host): void {
  const quiet = batch.advantages.every((a) => a === 0);
  if (batch.training.length === 0)
    host.note(`step ${host.step}: no sample was left to train on, so the weights did not change. See filter, max_refills and the rewards.`);
  else if (quiet && metrics.frac_reward_zero_std === 1)
    host.note(
      `step ${host.step}: all completions of every problem got the same reward (frac_reward_zero_std 1), so all advantages are 0 and nothing is learned ` +
        'from them. Look at the completions table; use easier or harder problems, more completions each (num_generations), or a finer reward.',
    );
  else if (Math.abs(metrics.loss ?? 0) < 1e-4 && !quiet)
    host.note(
      'The loss is about 0 and yet the policy learns: on policy all ratios are 1 and the advantages of a group add up to 0, so the value of the loss says ' +
        'nothing. Watch reward and grad_norm.',
    );
}

/** The completions table of a step: what was asked, what came, what it earned. */
export function completionRows(step: number, batch: RolloutBatch): CompletionRow[] {
  return batch.samples.map(({ trajectory, reward, rewards }, n) => ({
    step,
    prompt: trajectory.prompt.text,
    completion: trajectory.text,
    reward,
    ...Object.fromEntries(Object.entries(rewards).map(([name, value]) => [`rewards/${name}`, value])),
    advantage: batch.advantages[batch.span(n).start] ?? 0,
    length: batch.lengths[n] ?? 0,
    finish_reason: trajectory.finish_reason,
    trained: trajectory.trains,
  }));
}
