import type { Tensor } from '../../tensor/graph.js';
import { add, cast, ceil, lt, maximum, mul, stopGradient, sub } from '../../tensor/ops/elementwise.js';
import { unsqueeze } from '../../tensor/ops/movement.js';
import { mean, sum } from '../../tensor/ops/reduce.js';
import { pad, slice } from '../../tensor/ops/slicing.js';
import type { SftContext, SftMethod } from './slot.js';

/** x[b, t + 1] at position t; 0 at the end of a row. */
const next = (x: Tensor): Tensor => pad(slice(x, [[], [1]]), [null, [0, 1]]);
/** x[b, t - 1] at position t; 0 at the start of a row. */
const previous = (x: Tensor): Tensor => pad(slice(x, [[], [0, -1]]), [null, [1, 0]]);

/** How much the token that a position predicts attends to its prompt, the mean over the heads, [B, T]. */
function attentionToPrompt({ attention, sequences, settings }: SftContext): Tensor {
  const { counted } = sequences;
  // a token belongs to the answer where the position before predicts it
  const prompt = sub(1, previous(counted));
  const received = sum(mul(mean(attention(Number(settings.layer)), { axis: 1 }), unsqueeze(prompt, 1)), { axis: 2 });
  return mul(next(received), counted);
}

/**
 * ssToken (Qin et al. 2025, arXiv:2510.18250): trains on the share `rho` of a completion's tokens that score highest.
 *   score_t = gamma minmax(log p_t - log p_his_t) + (1 - gamma) attention_t,   attention_t = mean over heads of the attention from x_t to the prompt
 * Against sft: the mask. p_his is the model before fine-tuning, or its running average.
 */
export const ssToken: SftMethod = {
  id: 'ss-token',
  summary: 'trains on the tokens that were learnt most since the start and look at the prompt most',
  seed: 'P185',
  paper: 'arXiv:2510.18250',
  equation: 'score_t = gamma minmax(log p_t - log p_his_t) + (1 - gamma) A_t; the top rho of each completion count',
  parent: 'sft',
  defaults: { rho: 0.6, gamma: 0.5, layer: -1, history_decay: 1, history_steps: 1 },
  knobs: {
    rho: 'share of the tokens that are trained on; 1 is sft',
    gamma: 'weight of what was learnt against attention',
    layer: 'whose attention is read; negative numbers count from the last',
    history_decay: '1: the history is the starting model; below: its average with the policy',
    history_steps: 'steps between two updates of that average',
  },
  limits: [{ settings: { rho: 1 }, tolerance: 1e-7 }],
  provenance: 'paper',
  assumes: [
    'the number of tokens kept is rho times the length, rounded up; equal scores by position',
    'the last layer: the paper finds deep layers best and names none',
    'the prompt is everything before the first token that is trained on, and between such stretches',
  ],
  demo: { testbed: 'sft-noisy', baseline: 'sft', metric: 'eval_loss', cost: 'tokens', expect: 'gain' },
  needs: ['attention'],
  frozen: ({ history_decay, history_steps }) => ({
    history:
      Number(history_decay) >= 1 ? { kind: 'start' } : { kind: 'average', decay: Number(history_decay), steps: Number(history_steps) },
  }),
  mask: (context) => {
    const { policy, frozen, sequences, settings } = context;
    const { counted, minMax, ranks, lengths, spread } = sequences;
    const gamma = Number(settings.gamma);
    const learnt = minMax(sub(policy.logp, frozen('history').logp));
    const score = stopGradient(add(mul(learnt, gamma), mul(attentionToPrompt(context), 1 - gamma)));
    // a hair less, so that rho * length stands at a whole number where it is one
    const kept = maximum(ceil(sub(mul(lengths, Number(settings.rho)), 1e-4)), 1);
    return mul(cast(lt(ranks(score), spread(kept)), 'f32'), counted);
  },
};
