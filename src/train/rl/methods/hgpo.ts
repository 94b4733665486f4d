import { modeAdvantage, modeRollout } from '../parts/modes.js';
import type { RlMethod } from './slot.js';

/**
 * HGPO, hybrid group policy optimization for models that may think or answer at once (Jiang et al. 2025, arXiv:2505.14631). Its cold start, hybrid
 * fine-tuning, is fine-tuning on completions that begin with their mode: `!step;step#answer` and `.#answer`.
 *   half of a group in each mode m;   within a mode: w_i = 1[r_i = max of its mode];   between: b_i = 1[m_i = better mode],
 *   thinking is better where its mean reward is above that of direct answers by more than hgpo_margin
 *   A_it = norm_mode(w)_i + hgpo_alpha 1[t is the mode] norm_group(b)_i
 * Against grpo: the rollout chooses the modes; rewards are compared within modes, and modes at the token that names them.
 */
export const hgpo: RlMethod = {
  id: 'hgpo',
  summary: 'half of a group thinks and half does not; the mode is credited by which half does better',
  seed: 'S19',
  paper: 'arXiv:2505.14631',
  equation: 'A_it = norm(1[best of its mode])_i + alpha 1[t is the mode token] norm(1[better mode])_i',
  parent: 'grpo',
  defaults: { hgpo_alpha: 1, hgpo_margin: 0.2 },
  knobs: {
    hgpo_alpha: 'weight of the choice of the mode',
    hgpo_margin: 'by how much thinking must be better on average to be preferred',
  },
  limits: [{ slot: 'advantage', settings: {}, inputs: 'two of four right', tolerance: 1e-12 }],
  provenance: 'guess',
  assumes: [
    'halves, the two comparisons and the margin are as the paper says; the exact form of its equations was written from memory, its text was not at hand',
    'comparison within a mode is normalised within the mode; all of its best completions count as best',
    'margin 0.2 and alpha 1',
    "the mode's probability is that which the policy gives it, although it was chosen evenly",
  ],
  demo: { testbed: 'think-modes', baseline: 'grpo', method: 'grpo+hgpo', metric: 'utility', cost: 'generated tokens', expect: 'gain' },
  slots: { rollout: modeRollout, advantage: modeAdvantage },
};
