import { Draws } from '../../../data/probes/draws.js';
import { wrap } from '../compose.js';
import type { Filter, Grouping, Rollout } from '../contract.js';
import { byRequest, innerRollout, oneEach } from '../parts/partialRollouts.js';
import { dynamicSamplingFilter } from '../parts/reward.js';
import type { Segment, Trajectory } from '../trajectory.js';
import type { RlMethod } from './slot.js';

const withSelfHints = (inner: Rollout): Rollout => ({
  ...inner,
  name: `${inner.name}+self-hints`,
  defaults: { ...inner.defaults, hipo_below: 0.5, hipo_shortest: 0.05, hipo_longest: 0.45 },
  sample: async (prompts, context) => {
    const made = await inner.sample(prompts, innerRollout(inner, context));
    const rewards = await context.score(made);
    const solved = new Set(made.filter((_, i) => (rewards[i] as number) > 0.5));
    const groups = byRequest(prompts, made).map((all) => ({ all, good: all.filter((t) => solved.has(t)) }));
    const empty = groups.filter(({ all, good }) => good.length === 0 || good.length === all.length).length;
    const nearMisses = groups.filter(({ all, good }) => good.length > 0 && good.length < context.number('hipo_below') * all.length);
    const draws = new Draws(context.key('hints'));
    const [shortest, longest] = [context.number('hipo_shortest'), context.number('hipo_longest')];
    const hinted = nearMisses.slice(0, empty).flatMap(({ all, good }) =>
      all.map(() => {
        const source = good[draws.below(good.length)] as Trajectory;
        const { context: before, tokens } = source.segments[0] as Segment;
        const share = shortest + 0.05 * draws.below(Math.round((longest - shortest) / 0.05) + 1);
        const hint = tokens.slice(0, Math.max(1, Math.floor(share * tokens.length)));
        return {
          prompt: source.prompt,
          context: Int32Array.from([...before, ...hint]),
          prefix: context.tokenizer.decode(hint),
          notes: { ...source.notes, self_hint: true },
        };
      }),
    );
    context.metric('hipo_groups', Math.min(empty, nearMisses.length));
    return hinted.length === 0 ? made : [...made, ...(await oneEach(hinted, context, 'self-hints'))];
  },
});

/** Hinted completions are compared with each other. */
const hintedApart = (inner: Grouping): Grouping => ({
  ...inner,
  name: `${inner.name}+hinted-apart`,
  samples: (trajectories, context) =>
    inner
      .samples(trajectories, context.of(inner))
      .map((s) => (s.trajectory.notes.self_hint === true ? { ...s, group: `${s.group} hinted` } : s)),
});

/** Groups without signal make room for hinted ones. */
const onlySignal: Filter = { name: 'only-signal', keep: dynamicSamplingFilter.keep };

/**
 * HiPO, self-hint policy optimization (Deng et al. 2026, OpenReview rcb20pHmT1): where fewer than half of a group succeed, a further group begins with prefixes of
 * the successes; such groups take the place of those whose rewards are all equal.
 *   B <- (B \ equal) + {tau' ~ pi(. | q + prefix(tau, k))},   tau a success, k = floor(p |tau|), p ~ U{0.05, 0.1, ..., 0.45}
 * Against grpo: rollout, grouping and filter.
 */
export const hipo: RlMethod = {
  id: 'hipo',
  summary: 'rare successes lend their beginnings to further groups, which replace those without signal',
  seed: 'P234',
  paper: 'OpenReview rcb20pHmT1',
  equation: "B <- (B \\ equal) + {tau' ~ pi(. | q + prefix(tau, floor(p |tau|)))}, p ~ U{0.05, ..., 0.45}",
  parent: 'grpo',
  defaults: { hipo_below: 0.5 },
  knobs: { hipo_below: 'success rate below which a group with a success is a near miss' },
  limits: [
    { slot: 'rollout', settings: { hipo_below: 0 }, inputs: 'chain problems', tolerance: 0 },
    { slot: 'filter', settings: {}, inputs: 'rewards that differ', tolerance: 0 },
  ],
  provenance: 'derived',
  assumes: [
    'from a description of the paper: its text and code were not at hand',
    'as many hinted groups as there are groups without signal, each a group of its own; prefixes of at least one token, which do not train',
  ],
  demo: { testbed: 'arithmetic-hard', baseline: 'grpo', method: 'grpo+hipo', metric: 'pass@1', cost: 'generated tokens', expect: 'gain' },
  slots: { rollout: wrap(withSelfHints), grouping: wrap(hintedApart), filter: onlySignal },
};
