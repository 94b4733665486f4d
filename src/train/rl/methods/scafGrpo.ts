import { wrap } from '../compose.js';
import type { Rollout } from '../contract.js';
import { solutionOf, solutionSteps, withHint } from '../parts/hints.js';
import { byRequest, innerRollout, numberList, oneEach } from '../parts/partialRollouts.js';
import type { RlMethod } from './slot.js';

/** Hint of a tier: a share of the steps before the last, which would give the answer away; at least one step where there are two. */
const tierHint = (steps: readonly string[], share: number): string => {
  const shown = steps.length - 2;
  return steps.slice(0, Math.min(shown, Math.max(1, Math.round(share * shown)))).join('');
};

const scaffolded = (inner: Rollout): Rollout => ({
  ...inner,
  name: `${inner.name}+hints`,
  defaults: { ...inner.defaults, scaf_exempt: 0.15, scaf_tiers: [0, 0.5, 1], scaf_format: '{prompt}{hint}' },
  sample: async (prompts, context) => {
    const made = await inner.sample(prompts, innerRollout(inner, context));
    if (context.progress < context.number('scaf_exempt')) return made;
    const rewards = await context.score(made);
    const reward = new Map(made.map((t, i) => [t, rewards[i] as number]));
    const groups = byRequest(prompts, made);
    let stuck = [...prompts.keys()].filter((i) => groups[i]?.every((t) => (reward.get(t) as number) <= 0));
    const replaced = new Map(made.map((t) => [t, t]));
    for (const [tier, share] of numberList(context, 'scaf_tiers').entries()) {
      const asked = stuck.filter((i) => groups[i]?.length && solutionOf((prompts[i] as (typeof prompts)[number]).prompt, context) !== '');
      if (asked.length === 0) break;
      const hinted = asked.map((i) => {
        const { prompt } = prompts[i] as (typeof prompts)[number];
        const hint = tierHint(solutionSteps(solutionOf(prompt, context)), share);
        return withHint(prompt, hint, String(context.settings.scaf_format), context.tokenizer, { hint, tier });
      });
      const tries = await oneEach(hinted, context, `tier ${tier}`);
      const earned = await context.score(tries);
      for (const [k, i] of asked.entries())
        if ((earned[k] as number) > 0) replaced.set(groups[i]?.[0] as (typeof made)[number], tries[k] as (typeof made)[number]);
      stuck = stuck.filter((i) => !asked.some((j, k) => j === i && (earned[k] as number) > 0));
    }
    context.metric('scaf_stuck', stuck.length / prompts.length);
    return made.map((t) => replaced.get(t) as (typeof made)[number]);
  },
});

/**
 * Scaf-GRPO (Zhang et al. 2025, arXiv:2510.19807): a problem that no completion solves, after a time of exemption, is asked again with hints from little to much; the first
 * success takes the place of a failure, behind the hint that it was drawn with.
 *   G <- (G \ {o_j}) + {o_h},   o_h ~ pi(. | q + h),   h the least hint that succeeds
 * Against grpo: the rollout. Reward, advantage and ratio are those of the changed group, hence on policy.
 */
export const scafGrpo: RlMethod = {
  id: 'scaf-grpo',
  summary: 'unsolved problems are asked again with growing hints; a success replaces a failure',
  seed: 'P313',
  paper: 'arXiv:2510.19807',
  equation: 'G <- (G \\ {o_j}) + {o_h}, o_h ~ pi(. | q + h), h the least hint that succeeds',
  parent: 'grpo',
  defaults: { scaf_tiers: [0, 0.5, 1], scaf_exempt: 0.15 },
  knobs: {
    scaf_tiers: 'share of the steps before the last one that each tier shows, at least one; the last step and the answer are never shown',
    scaf_exempt: 'share of the run without hints',
  },
  limits: [{ slot: 'rollout', settings: { scaf_exempt: 2 }, inputs: 'chain problems', tolerance: 0 }],
  provenance: 'repo',
  assumes: [
    'hints are steps of the column solution instead of knowledge, plan and steps by a stronger model',
    'the hint stands right behind the problem (scaf_format), for models that know no other form; the code writes "Question: {prompt}\\nSolution Hints: {hint}"',
    'one try a tier, tiers one after the other, where the code tries all at once and takes the least',
  ],
  demo: {
    testbed: 'arithmetic-hard',
    baseline: 'grpo',
    method: 'grpo+scaf-grpo',
    metric: 'pass@1',
    cost: 'generated tokens',
    expect: 'gain',
  },
  slots: { rollout: wrap(scaffolded) },
};
