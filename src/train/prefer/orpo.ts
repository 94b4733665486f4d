import { logSigmoid } from '../../tensor/ops/activation.js';
import { exp, gt, log, mul, neg, sub, where } from '../../tensor/ops/elementwise.js';
import type { PreferMethod } from './slot.js';
import { chosenLoss, meanLogps } from './terms.js';

/**
 * Odds ratio preference optimisation (Hong, Lee and Thorne 2024, arXiv:2403.07691, equations 4 to 7): fine-tuning with a penalty on the odds of the
 * rejected response.
 *   L = CE(y+) - beta mean log sigmoid( log odds(y+) - log odds(y-) ),   odds(y) = P / (1 - P),   log P = log p(y | x) / |y|
 * Against dpo: the reference, the loss, the auxiliary term.
 */
export const orpo: PreferMethod = {
  id: 'orpo',
  summary: 'cross-entropy of the chosen response with a penalty on the odds ratio',
  paper: 'arXiv:2403.07691',
  equation: 'L = CE(y+) - beta mean log sigmoid(log odds(y+) - log odds(y-))',
  parent: 'dpo',
  defaults: { beta: 0.1 },
  limits: [],
  provenance: 'paper',
  assumes: [
    'the cross-entropy covers the tokens of the response, not the prompt',
    'the rewards of the log are beta times the mean log-probabilities',
  ],
  reference: 'none',
  reward: (context) => mul(meanLogps(context), Number(context.settings.beta)),
  loss: (context) => {
    const mean = meanLogps(context);
    const { pick, lengths } = context.sequences;
    const logOdds = (j: number) => {
      // a place that no example fills has no odds
      const logp = where(gt(pick(lengths, j), 0), pick(mean, j), -1);
      return sub(logp, log(sub(1, exp(logp))));
    };
    return mul(neg(logSigmoid(sub(logOdds(0), logOdds(1)))), Number(context.settings.beta));
  },
  auxiliary: chosenLoss,
};
