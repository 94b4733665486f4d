import { modelLoss } from '../../models/index.js';
import type { ObjectiveMethod } from './slot.js';

/** Next-token prediction: mean cross-entropy of the following token. The root of the slot. */
export const nextToken: ObjectiveMethod = {
  id: 'next-token',
  summary: 'cross-entropy of the next token',
  paper: 'Bengio et al. 2003, "A Neural Probabilistic Language Model"',
  equation: 'L = mean_t -log p(x_{t+1} | x_{<=t})',
  defaults: {},
  limits: [],
  provenance: 'paper',
  assumes: [],
  loss: ({ model, params, batch, hidden }) => ({ loss: modelLoss(model, params, hidden(), batch.targets) }),
};
