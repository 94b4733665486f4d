import { add } from '../../tensor/ops/elementwise.js';
import { embedding } from '../../tensor/ops/indexing.js';
import { slice } from '../../tensor/ops/slicing.js';
import { paramSpec, weightsOf } from '../param.js';
import type { PositionMethod } from './slot.js';

/**
 * A learned vector for every position, added to the embeddings (GPT-2).
 * Against nope: a row of a table is added to each embedding, once, before the first layer; positions end at max_position_embeddings.
 */
export const learned: PositionMethod = {
  id: 'learned',
  summary: 'a learned vector for every position, added to the embeddings',
  paper: 'Radford et al. 2019, "Language Models are Unsupervised Multitask Learners"',
  equation: 'x_t = embed(token_t) + w_t',
  parent: 'nope',
  defaults: {},
  limits: [{ settings: {}, inputs: 'a table of zeros', tolerance: 0 }],
  provenance: 'paper',
  assumes: ['initial standard deviation 0.02, as of the token embeddings'],
  specs: ({ hidden_size, max_position_embeddings }) => ({
    wpe: { weight: paramSpec('embedding', [max_position_embeddings, hidden_size], { kind: 'normal', std: 0.02 }) },
  }),
  apply: ({ weights, queries }) => {
    const table = weightsOf(weights, 'wpe').weight;
    return { embed: (x) => add(x, 'count' in queries ? slice(table, [[0, queries.count]]) : embedding(queries.ids, table)) };
  },
};
