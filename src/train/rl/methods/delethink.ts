import { chunkedRollout } from '../parts/chunks.js';
import type { RlMethod } from './slot.js';

/**
 * Delethink (Aghajohari et al. 2025, arXiv:2510.06557): Markovian thinking in chunks.
 *   chunk 1: o_1 ~ pi(. | q), at most C tokens;   chunk k: o_k ~ pi(. | q, carry), at most C - m, carry = the first h tokens of o_1 and the last m - h written
 *   L = -1/N sum_i 1/(sum_k |o_ik|) sum_k sum_t [min(rho A_i, clip(rho) A_i) - beta k3]
 * Against grpo: the rollout. Every chunk is scored behind its own context; the mean over a completion's tokens is over those of all its chunks.
 * Evaluation has to decode in this way, too.
 */
export const delethink: RlMethod = {
  id: 'delethink',
  summary: 'thinks in chunks that see the problem and the last tokens before them',
  seed: 'P331',
  paper: 'arXiv:2510.06557',
  equation: 'o_k ~ pi(. | q, first h and last m - h tokens written), |o_1| <= C, |o_k| <= C - m',
  parent: 'grpo',
  defaults: { max_chunks: 5, carry_share: 0.5, head_share: 0.0122 },
  knobs: {
    max_chunks: 'chunks of a completion of max_completion_length tokens; from it and carry_share follows C',
    carry_share: 'm / C',
    head_share: 'h / C (paper: 100 of 8192 tokens)',
  },
  limits: [{ slot: 'rollout', settings: { max_chunks: 1 }, tolerance: 0 }],
  provenance: 'repo',
  assumes: ['the loss is as in grpo; the repository also clips at 1.26 and weights by ratios of two engines'],
  demo: {
    testbed: 'parity-chunks',
    baseline: 'grpo',
    method: 'grpo+delethink',
    metric: 'pass@1',
    cost: 'generated tokens',
    expect: 'equivalent',
  },
  slots: { rollout: chunkedRollout },
};
