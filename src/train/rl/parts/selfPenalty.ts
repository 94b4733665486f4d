import type { Settings } from '../../../contracts/index.js';
import type { RolloutBatch } from '../batch.js';
import type { Advantage, HostContext, Reward } from '../contract.js';
import type { Sample } from '../trajectory.js';
import { deviation } from './advantage.js';
import { answerDefaults, answerReader, tally } from './answers.js';

/**
 * Learning from the whole distribution of a group's answers (Yu et al. 2025, arXiv:2510.02172). Legend: n samples of a group, c_j votes for its j-th answer,
 * f_j = c_j / n, g(f) = exp(-(f - center)^2 / (2 sigma^2)).
 */

const logShape = (f: number, { label_center, label_sigma }: Settings): number =>
  -((f - Number(label_center)) ** 2) / (2 * Number(label_sigma) ** 2);

/** w_j = g(f_j) / sum_l g(f_l), computed so that a narrow g does not underflow. */
export function labelWeights(shares: readonly number[], settings: Settings): number[] {
  const logs = shares.map((f) => logShape(f, settings));
  const top = Math.max(...logs);
  const raised = logs.map((x) => Math.exp(x - top));
  const total = raised.reduce((a, b) => a + b, 0);
  return raised.map((x) => x / total);
}

/** Share of the frozen reference's completions that agree on its most frequent answer, by problem; -1 = not drawn yet. */
const agreementColumn = 'reference_agreement';

/**
 * A_i = u sum_j w_j A_ij, where A_ij normalises 1[answer_i = answer_j] over the group as GRPO does, and u = g(agreement of the reference on this problem). Where
 * the largest c_j / n lies below min_majority, A_i = -u penalty_offset for all samples of the group.
 */
export const penalisedVotes: Advantage = {
  name: 'penalised-votes',
  defaults: { ...answerDefaults, label_center: 1, label_sigma: 0.5, min_majority: 0.25, penalty_offset: 1, prompt_weighting: true },
  needs: ({ prompt_weighting }) => (prompt_weighting === true ? ['reference'] : []),
  compute: (batch, context) => {
    const { settings, tasks } = context;
    const read = answerReader(settings);
    const agreement = tasks.column(agreementColumn, -1);
    const out = new Float64Array(batch.size);
    for (let g = 0; g < batch.groups; g++) {
      const { start, end } = batch.group(g);
      const agreed = agreement[batch.samples[start]?.trajectory.prompt.id ?? -1] ?? -1;
      const u = settings.prompt_weighting === true && agreed >= 0 ? Math.exp(logShape(agreed, settings)) : 1;
      for (const [i, a] of groupCredit(batch, start, end, read, context).entries()) out[start + i] = u * a;
    }
    return out;
  },
};

function groupCredit(
  batch: RolloutBatch,
  start: number,
  end: number,
  read: (text: string) => string | null,
  { settings, number, metric }: HostContext,
): number[] {
  const size = end - start;
  const answers = batch.samples.slice(start, end).map((s) => read(s.trajectory.text));
  const counts = [...tally(answers)];
  const penalised = Math.max(0, ...counts.map(([, c]) => c)) / size < number('min_majority');
  metric('votes/penalised_ratio', penalised ? 1 : 0);
  if (penalised) return answers.map(() => -number('penalty_offset'));
  const weights = labelWeights(
    counts.map(([, c]) => c / size),
    settings,
  );
  const out = answers.map(() => 0);
  for (const [j, [label, c]] of counts.entries()) {
    const hits = answers.map((a) => (a === label ? 1 : 0));
    const spread = deviation(hits);
    if (spread === 0) continue;
    for (const [i, hit] of hits.entries()) out[i] = (out[i] as number) + ((weights[j] as number) * (hit - c / size)) / (spread + 1e-4);
  }
  return out;
}

/** Draws num_generations completions of the frozen reference for every problem that comes for the first time, for the weight of its prompt. */
export const withReferenceVotes = (inner: Reward): Reward => ({
  ...inner,
  name: `${inner.name}+reference-votes`,
  score: async (samples, context) => {
    if (context.settings.prompt_weighting === true) await drawReferenceVotes(samples, context);
    return inner.score(samples, context.of(inner));
  },
});

async function drawReferenceVotes(samples: readonly Sample[], { tasks, settings, policy, number }: HostContext): Promise<void> {
  const agreement = tasks.column(agreementColumn, -1);
  const read = answerReader(settings);
  const problems = new Map(samples.map(({ trajectory: { prompt } }) => [prompt.id, prompt]));
  const fresh = [...problems.values()].filter((p) => agreement[p.id] === -1);
  if (fresh.length === 0) return;
  const n = number('num_generations');
  const requests = fresh.map(({ id, tokens }) => ({ context: tokens, id, n }));
  const drawn = await policy.generate(requests, { purpose: 'reference votes', which: 'reference' });
  for (const [k, { id }] of fresh.entries()) agreement[id] = Math.max(0, ...tally((drawn[k] ?? []).map((c) => read(c.text))).values()) / n;
}
