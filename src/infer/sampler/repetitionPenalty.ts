import { VitroError } from '../../tensor/errors.js';
import { div, lt, mul, where } from '../../tensor/ops/elementwise.js';
import { checkNumber, scalarOf } from './checks.js';
import type { SamplerMethod } from './slot.js';

/**
 * Makes tokens that have occurred less probable (Keskar et al. 2019, arXiv:1909.05858, section 4.1), in the form of transformers: of every token in
 * the prompt or the completion, a positive logit is divided by the penalty and a negative one multiplied by it.
 * Against sample: logits of tokens that were seen change.
 */
export const repetitionPenalty: SamplerMethod = {
  id: 'repetition-penalty',
  summary: 'lowers the logits of tokens that have occurred in prompt or completion',
  paper: 'arXiv:1909.05858',
  equation: "z'_y = z_y / penalty if z_y > 0 else z_y penalty, for tokens y that have occurred",
  parent: 'sample',
  defaults: { repetition_penalty: 1.1 },
  knobs: { repetition_penalty: 'above 1 discourages repetition, 1 = off, below 1 encourages it' },
  limits: [{ settings: { repetition_penalty: 1 }, tolerance: 0 }],
  provenance: 'repo',
  assumes: ['tokens of the prompt count'],
  scalars: ['repetition_penalty'],
  needs: ['seen'],
  transform: (logits, context) => {
    if (!context.seen) throw new VitroError('repetition_penalty needs the tokens that were seen');
    const penalty = scalarOf(context, 'repetition_penalty');
    return where(context.seen, where(lt(logits, 0), mul(logits, penalty), div(logits, penalty)), logits);
  },
  check: (settings) => checkNumber(settings, 'repetition_penalty', (p) => p > 0, 'a positive number'),
};
