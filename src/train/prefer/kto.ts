import { sigmoid } from '../../tensor/ops/activation.js';
import { div, gt, maximum, mul, stopGradient, sub, where } from '../../tensor/ops/elementwise.js';
import { sum } from '../../tensor/ops/reduce.js';
import type { PreferMethod } from './slot.js';

/**
 * Kahneman-Tversky optimisation (Ethayarajh et al. 2024, arXiv:2402.01306, equation 8): single responses with a label, no pairs.
 *   L = mean w_y (1 - v),   v = sigmoid(r(y) - z) for desirable responses, sigmoid(z - r(y)) for others
 *   z = beta max(0, mean over the batch of log p/p_ref (y' | x)) with completions y' of other prompts
 * Against dpo: the data (sequence 0 is the response, 1 the mismatched one) and the loss.
 */
export const kto: PreferMethod = {
  id: 'kto',
  summary: 'single responses that are desirable or not, against the divergence from the reference',
  paper: 'arXiv:2402.01306',
  equation: 'L = mean w (1 - sigmoid(+-(r(y) - z))), z = beta max(0, mean log p/p_ref of mismatched responses)',
  parent: 'dpo',
  defaults: { beta: 0.1, desirable_weight: 1, undesirable_weight: 1 },
  knobs: { desirable_weight: 'weight of responses with label 1', undesirable_weight: 'weight of the others' },
  limits: [],
  provenance: 'paper',
  assumes: ['the mismatched completion is that of the next example of the data, fixed when the data are encoded'],
  columns: { label: '1 for a desirable response, 0 for another' },
  pairing: 'unpaired',
  loss: ({ rewards, sequences, column, settings }) => {
    const { pick, present } = sequences;
    const reward = pick(rewards, 0);
    const z = stopGradient(maximum(div(sum(mul(pick(rewards, 1), present)), maximum(sum(present), 1)), 0));
    const desirable = mul(sub(1, sigmoid(sub(reward, z))), Number(settings.desirable_weight));
    const other = mul(sub(1, sigmoid(sub(z, reward))), Number(settings.undesirable_weight));
    return where(gt(column('label'), 0.5), desirable, other);
  },
};
