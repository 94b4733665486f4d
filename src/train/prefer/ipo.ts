import { div, maximum, mul, square, sub } from '../../tensor/ops/elementwise.js';
import type { PreferMethod } from './slot.js';

/**
 * Identity preference optimisation (Azar et al. 2023, arXiv:2310.12036, equation 17): a square instead of the logistic loss, so that certain
 * preferences do not drive the ratios apart without end.
 *   L = mean (h - 1 / (2 beta))^2,   h = log p/p_ref (y+) - log p/p_ref (y-)
 * Against dpo: the loss; and the log-probabilities are averaged over the tokens, as the reference implementation came to do.
 */
export const ipo: PreferMethod = {
  id: 'ipo',
  summary: 'square loss towards a fixed difference of the ratios',
  paper: 'arXiv:2310.12036',
  equation: 'L = mean (h - 1 / (2 beta))^2, h = difference of the mean log-probability ratios',
  parent: 'dpo',
  defaults: { beta: 0.1, average_log_prob: true },
  knobs: { average_log_prob: 'ratios per token, as TRL has it; false is the sum over the response, as in the paper' },
  limits: [],
  provenance: 'repo',
  assumes: ['averages over tokens by default, as TRL'],
  reward: ({ logps, referenceLogps, sequences, settings }) => {
    const ratio = sub(logps, referenceLogps);
    const per = settings.average_log_prob === false ? ratio : div(ratio, maximum(sequences.lengths, 1));
    return mul(per, Number(settings.beta));
  },
  loss: ({ margins, settings }) => {
    const beta = Number(settings.beta);
    return square(sub(div(margins, beta), 1 / (2 * beta)));
  },
};
