import type { Completion } from '../../infer/index.js';
import { RolloutBatch } from './batch.js';
import type { PromptDataset } from './contract.js';
import type { Host } from './host.js';
import { rolloutMetrics } from './log.js';
import { deviation } from './parts/advantage.js';
import { functionRewards } from './parts/reward.js';
import { completionTrajectory } from './parts/sampling.js';
import type { PromptRow } from './prompts.js';

/** Problems that are only measured, and when. */
export interface RlEvaluation {
  readonly data: readonly PromptRow[];
  /** completions of each problem, drawn as in training; default 1 */
  readonly num_generations?: number;
  /** every so many steps; 0 = only at the end (default) */
  readonly eval_steps?: number;
  /** also before the first step */
  readonly on_start?: boolean;
}

/**
 * What the policy of the moment earns by the user's reward functions alone, without the recipe's scaffolds, shaping and filters, so that methods can
 * be compared. Metrics are those of rollouts under `eval_`, and the
 * standard error of the mean reward over problems.
 */
export async function evaluatePolicy(host: Host, dataset: PromptDataset, n: number): Promise<Record<string, number>> {
  const context = host.context('reward', functionRewards);
  const prompts = Array.from({ length: dataset.length }, (_, i) => dataset.prompt(i));
  const requests = prompts.map(({ tokens }, id) => ({ context: tokens, n, id }));
  const completions: Completion[][] = await context.policy.generate(requests, { purpose: 'evaluation' });
  const samples = prompts.flatMap((prompt, i) =>
    (completions[i] ?? []).map((completion) => {
      const trajectory = completionTrajectory({ prompt, context: prompt.tokens }, completion);
      return { trajectory, segments: trajectory.segments, group: String(i) };
    }),
  );
  const scored = new RolloutBatch(await functionRewards.score(samples, context));
  const { reward_std, frac_reward_zero_std, ...rest } = rolloutMetrics(scored);
  const means = Array.from({ length: scored.groups }, (_, g) => {
    const { start, end } = scored.group(g);
    return scored.rewards.subarray(start, end).reduce((a, b) => a + b, 0) / (end - start);
  });
  const metrics = {
    ...rest,
    // problems are what is drawn, not completions
    reward_stderr: deviation(means) / Math.sqrt(means.length),
    ...(n > 1 ? { reward_std, frac_reward_zero_std } : {}),
  };
  return Object.fromEntries(Object.entries(metrics).map(([name, value]) => [`eval_${name}`, value]));
}
