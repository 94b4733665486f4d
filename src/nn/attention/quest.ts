import { mul } from '../../tensor/ops/elementwise.js';
import { l2Normalize } from '../../tensor/ops/norm.js';
import type { AttentionContext, AttentionMethod } from './slot.js';
import { softmax } from './softmax.js';

/** What queries are multiplied by, so that the shared scale turns into the method's own. */
function queryFactor({ config, settings }: AttentionContext): number {
  const scale = Number(settings.scale);
  return scale === 0 ? 1 : scale / config.scale;
}

/**
 * QUEST, query-modulated spherical attention (Govindarajan et al., ICLR 2026, arXiv:2604.00199):
 *   score_ts = q_t . k_s / |k_s|
 * Against softmax: keys lie on the unit sphere and the factor d^-1/2 is gone, so no key can draw all attention to itself by its length, while the
 * length of each query still sets how sharply it looks. No parameters are added.
 */
export const quest: AttentionMethod = {
  ...softmax,
  id: 'quest',
  summary: 'keys of unit length, queries of any length: a token sets its own sharpness',
  seed: 'P708',
  paper: 'arXiv:2604.00199',
  equation: 'score_ts = scale q_t . k_s / |k_s|, scale = 1',
  parent: 'softmax',
  defaults: { scale: 1 },
  knobs: { scale: "factor of the scores; 1 in the paper, 0 = the config's own (d^-1/2)" },
  limits: [{ settings: { scale: 0 }, inputs: 'keys of unit length', tolerance: 1e-6 }],
  provenance: 'paper',
  assumes: [
    "the paper's text was not at hand: the formula (keys normalised for each head, no factor, no learned gain) is from published summaries of it",
    'keys are normalised before positions turn them, which keeps their length',
    'as many parameters as softmax',
  ],
  demo: { testbed: 'shakespeare', baseline: 'softmax', metric: 'val/bpb', cost: 'tokens', expect: 'gain' },
  project: (weights, x, context) => {
    const { q, k, v } = softmax.project(weights, x, context);
    return { q: mul(q, queryFactor(context)), k: l2Normalize(k), v };
  },
};
