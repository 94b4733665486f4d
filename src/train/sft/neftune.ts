import { add, div, maximum, mul, sqrt } from '../../tensor/ops/elementwise.js';
import { unsqueeze } from '../../tensor/ops/movement.js';
import { dimOf } from '../../tensor/ops/operand.js';
import { uniform } from '../../tensor/random.js';
import type { SftMethod } from './slot.js';

/**
 * NEFTune (Jain et al. 2023, arXiv:2310.05914, algorithm 1): uniform noise on the embeddings in training.
 *   e' = e + alpha / sqrt(L D) u,   u ~ U(-1, 1)^D
 * Against sft: the embeddings of the policy's input. Evaluation and generation see none of it.
 */
export const neftune: SftMethod = {
  id: 'neftune',
  summary: 'uniform noise on the embeddings',
  paper: 'arXiv:2310.05914',
  equation: "e' = e + alpha / sqrt(L D) u, u ~ U(-1, 1)",
  parent: 'sft',
  defaults: { neftune_noise_alpha: 5 },
  knobs: { neftune_noise_alpha: 'size of the noise; 0 is none' },
  limits: [{ settings: { neftune_noise_alpha: 0 }, tolerance: 0 }],
  provenance: 'paper',
  assumes: ['L is the length of the sequence without padding, as in the paper; libraries that take the padded length add less noise'],
  embed: (embeddings, { sequence_length, settings, key }) => {
    const size = div(Number(settings.neftune_noise_alpha), sqrt(mul(maximum(sequence_length, 1), Number(dimOf(embeddings, -1)))));
    return add(embeddings, mul(uniform(key, embeddings.shape, { low: -1, high: 1 }), unsqueeze(size, 2)));
  },
};
