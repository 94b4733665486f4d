import { also } from '../compose.js';
import type { Phases, Scaffold } from '../contract.js';
import { solutionOf, withHint } from '../parts/hints.js';
import { numberList } from '../parts/partialRollouts.js';
import type { RlMethod } from './slot.js';

const partialSolution: Scaffold = {
  name: 'partial-solution',
  defaults: { questa_share: 0.5, questa_format: '{prompt}{hint}' },
  apply: (prompts, context) =>
    prompts.map((prompt) => {
      const solution = solutionOf(prompt, context);
      const hint = solution.slice(0, Math.floor(context.number('questa_share') * solution.length));
      return withHint(prompt, hint, String(context.settings.questa_format), context.tokenizer, { hint });
    }),
};

/** Stages of equal length. */
const stages: Phases = {
  name: 'partial-solution',
  defaults: { questa_shares: [0.5, 0.25, 0] },
  at: (context) => {
    const shares = numberList(context, 'questa_shares');
    const stage = Math.min(shares.length - 1, Math.floor(context.progress * shares.length));
    return { settings: { questa_share: shares[stage] as number } };
  },
};

/**
 * QuestA (Li et al. 2025, arXiv:2507.13266): problems are asked together with the first share p of their solution, p falling from stage to stage, so that hard ones
 * are solved sometimes; at test time they stand alone.
 *   context = question + solution[: p |solution|],   p = 1/2, then 1/4
 * Against grpo: the scaffold, and the phases that set p.
 */
export const questa: RlMethod = {
  id: 'questa',
  summary: 'problems are asked with a share of their solution, which falls in stages',
  seed: 'P286',
  paper: 'arXiv:2507.13266',
  equation: 'context = question + solution[: p |solution|], p falling in stages',
  parent: 'grpo',
  defaults: { questa_shares: [0.5, 0.25, 0] },
  knobs: {
    questa_shares: 'p of each stage; stages are equally long',
  },
  limits: [{ slot: 'scaffold', settings: { questa_share: 0 }, tolerance: 0 }],
  provenance: 'repo',
  assumes: [
    'the hint stands right behind the problem (questa_format; the paper writes "{prompt}\\n\\n## Hint.{hint}"), for models that know no other form',
    'therefore a last stage without hints, and stages of equal length instead of to saturation',
    'all problems get hints: the data are supposed to be hard',
  ],
  demo: { testbed: 'arithmetic-hard', baseline: 'grpo', method: 'grpo+questa', metric: 'pass@1', cost: 'generated tokens', expect: 'gain' },
  slots: { scaffold: partialSolution, phases: also(stages) },
};
