import { RolloutBatch } from './batch.js';
import type { PromptDataset, RlSlots, RolloutContext } from './contract.js';
import type { Host } from './host.js';
import type { Policy } from './policy.js';
import type { Sample, ScoredSample } from './trajectory.js';

/** What a step sampled, and what is left of it to train on. */
export interface Collected {
  /** everything that was scored */
  readonly scored: RolloutBatch;
  /** after filter and buffer */
  readonly batch: RolloutBatch;
}

/** The request that a sample's group is counted for: the first of its group, so that several groups of one problem, or several problems of one group, count once. */
function problemOfGroup(samples: readonly Sample[]): (sample: Sample) => number | string {
  const first = new Map<string, number>();
  for (const { group, trajectory } of samples) {
    const place = trajectory.prompt.place;
    if (place !== undefined) first.set(group, Math.min(place, first.get(group) ?? place));
  }
  return ({ group }) => first.get(group) ?? group;
}

/** prompts, scaffold, rollout, grouping, reward, filter (again while it asks for more) and buffer. */
export async function collect(slots: RlSlots, host: Host, dataset: PromptDataset): Promise<Collected> {
  const wanted = host.number('prompts_per_step');
  const scaffold = slots.scaffold;
  const grade = async (samples: readonly Sample[]): Promise<readonly ScoredSample[]> =>
    slots.reward.score(samples, host.context('reward', slots.reward));
  const all: ScoredSample[] = [];
  const kept: ScoredSample[] = [];
  let groups = 0;
  let asked = 0;
  for (let round = 0; groups < wanted && round < (slots.filter.refill ? Math.max(1, host.number('max_refills')) : 1); round++) {
    const problems = await slots.prompts.next(wanted, dataset, host.context('prompts', slots.prompts));
    const placed = problems.map((p) => ({ ...p, place: asked++ }));
    const context: RolloutContext = {
      ...host.context('rollout', slots.rollout),
      num_generations: host.number('num_generations'),
      score: async (trajectories) => {
        const samples = slots.grouping.samples(trajectories, host.context('grouping', slots.grouping));
        const graded = new Map((await grade(samples)).map((s) => [s.trajectory, s.reward]));
        return Float64Array.from(trajectories, (t) => graded.get(t) ?? 0);
      },
      scaffold: async (prompts) => scaffold.apply(prompts, host.context('scaffold', scaffold)),
    };
    const trajectories = await slots.rollout.sample(await context.scaffold(placed), context);
    const samples = await grade(slots.grouping.samples(trajectories, host.context('grouping', slots.grouping)));
    const fresh = new RolloutBatch(samples);
    slots.prompts.observe?.(fresh, host.context('prompts', slots.prompts));
    const own = slots.filter.keep(fresh, host.context('filter', slots.filter)).map((n) => fresh.samples[n] as ScoredSample);
    all.push(...samples);
    const problem = problemOfGroup(own);
    const room = new Set([...new Set(own.map(problem))].slice(0, wanted - groups));
    kept.push(...own.filter((s) => room.has(problem(s))));
    groups += room.size;
  }
  if (slots.filter.refill && groups < wanted)
    host.note(
      `The filter ${slots.filter.name} kept ${groups} of ${wanted} groups after max_refills ${host.number('max_refills')} rounds; the step trains on these.`,
    );
  const batch = new RolloutBatch(kept);
  const exchanged = await slots.buffer.exchange(batch, host.context('buffer', slots.buffer));
  return { scored: new RolloutBatch(all), batch: exchanged === batch.samples ? batch : new RolloutBatch(exchanged) };
}

/** Tokens of a batch as sequences, in the order of its tokens: one for each segment. */
const segmentSequences = (batch: RolloutBatch) =>
  batch.samples.flatMap(({ segments }) =>
    segments.map(({ context, replay_context, tokens, actions }) => ({
      context: replay_context ?? context,
      tokens,
      actions,
      swapped: replay_context !== undefined,
    })),
  );

/** Writes per-token values of segments one after the other. */
function joined(values: readonly Float64Array[], tokens: number): Float64Array {
  const out = new Float64Array(tokens);
  let at = 0;
  for (const v of values) {
    out.set(v, at);
    at += v.length;
  }
  return out;
}

/** Log-probabilities, reference and predictions that the batch needs before credit is given. */
export async function scoreBatch(
  slots: RlSlots,
  batch: RolloutBatch,
  policy: Policy,
  { reference, truncated }: { readonly reference: boolean; readonly truncated: boolean },
): Promise<void> {
  const sequences = segmentSequences(batch);
  if (sequences.length === 0) {
    // nothing to score, and yet auxiliary losses may train beside it
    if (reference) batch.reference_logp = new Float64Array(0);
    for (const learner of slots.learners) batch.columns[learner.name] = new Float64Array(0);
    return;
  }
  // drawn under another context or from a restricted distribution: the ratio's denominator is the policy as training sees it
  if (truncated || sequences.some((s) => s.swapped)) {
    const scored = await policy.logps(sequences);
    let at = 0;
    for (const [i, s] of sequences.entries()) {
      if (truncated || s.swapped) batch.old_logp.set(scored[i] as Float64Array, at);
      at += s.tokens.length;
    }
  }
  if (reference) batch.reference_logp = joined(await policy.logps(sequences, 'reference'), batch.tokens);
  for (const learner of slots.learners) batch.columns[learner.name] = joined(await policy.predict(sequences, learner), batch.tokens);
}
