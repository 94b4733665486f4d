import { wrap } from '../compose.js';
import { harmonicVote, withParaphrases } from '../parts/views.js';
import type { RlMethod } from './slot.js';

/**
 * Self-Harmony (Wang et al. 2025, arXiv:2511.01191): the label is the answer that is frequent for the problem and for its paraphrase.
 *   y* = argmax_a 2 p0(a) p1(a) / (p0(a) + p1(a)),   r = 1[a = y*] in both views
 * Against ttrl: a step holds half as many problems, each in two views that are groups of their own; the harmonic mean of their votes replaces the majority. The
 * paraphrase comes with the data; the policy does not learn to write it, so the paper's terms for its format and diversity are not there.
 */
export const selfHarmony: RlMethod = {
  id: 'self-harmony',
  summary: 'the label is what a problem and its paraphrase agree on, by the harmonic mean of votes',
  seed: 'P307',
  paper: 'arXiv:2511.01191',
  equation: 'y* = argmax_a 2 p0 p1 / (p0 + p1), r = 1[a = y*]',
  parent: 'ttrl',
  defaults: { paraphrase_column: 'paraphrase' },
  knobs: { paraphrase_column: 'column with the problem in other words' },
  limits: [{ slot: 'reward', settings: {}, inputs: 'views that agree', tolerance: 0 }],
  provenance: 'paper',
  assumes: ['where no answer is common to both views, all rewards are 0, as in the repository'],
  demo: { testbed: 'arithmetic-paraphrase', baseline: 'ttrl', metric: 'pass@1', cost: 'generated tokens', expect: 'gain' },
  slots: { prompts: wrap(withParaphrases), reward: harmonicVote },
};
