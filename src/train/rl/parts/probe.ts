import { permutation } from '../../../data/stream/permutation.js';
import type { HostContext, PromptDataset } from '../contract.js';
import type { Prompt, ScoredSample } from '../trajectory.js';
import { functionRewards } from './reward.js';
import { completionTrajectory } from './sampling.js';

/** Looks at problems before they are trained on. */

/** Some problems of a data set as a data set. */
export const subset = (dataset: PromptDataset, rows: readonly number[]): PromptDataset => ({
  length: rows.length,
  prompt: (i) => dataset.prompt(rows[i] as number),
});

/** `count` different rows at random, all where it is 0 or more than there are. */
export function someRows(dataset: PromptDataset, count: number, { key }: Pick<HostContext, 'key'>): number[] {
  const n = count > 0 ? Math.min(count, dataset.length) : dataset.length;
  const order = permutation(key('probe', 'run'), dataset.length);
  return Array.from({ length: n }, (_, i) => order(i));
}

/** `n` completions of each problem from the policy of the moment, scored by the user's reward functions. */
export async function probe(prompts: readonly Prompt[], n: number, context: HostContext): Promise<ScoredSample[][]> {
  const requests = prompts.map(({ tokens }, id) => ({ context: tokens, n, id }));
  const completions = await context.policy.generate(requests, { purpose: 'probe' });
  return Promise.all(
    prompts.map(async (prompt, i) => {
      const samples = (completions[i] ?? []).map((c) => {
        const trajectory = completionTrajectory({ prompt, context: prompt.tokens }, c);
        return { trajectory, segments: trajectory.segments, group: `probe ${i}` };
      });
      return samples.length === 0 ? [] : [...(await functionRewards.score(samples, context))];
    }),
  );
}
