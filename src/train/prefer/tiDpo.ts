import type { Tensor } from '../../tensor/graph.js';
import { abs, add, div, exp, maximum, mul, square, stopGradient, sub } from '../../tensor/ops/elementwise.js';
import { sum } from '../../tensor/ops/reduce.js';
import { pad, slice } from '../../tensor/ops/slicing.js';
import type { PreferContext, PreferMethod } from './slot.js';

/** How much each target's own embedding moves the log-probability of its response, [B, T]: the sum of the absolute values of the gradient. */
function attribution({ embeddingGradient }: PreferContext): Tensor {
  const gradient = embeddingGradient((view) => sum(view.logp));
  const atInput = sum(abs(gradient), { axis: 2 });
  // the target of position t is the input at t + 1
  return pad(slice(atInput, [[], [1]]), [null, [0, 1]]);
}

/** exp(-((t - mu) / sigma)^2 / 2) along each response, mu its middle, sigma a quarter of its length, [B, T]. */
function middle({ sequences }: PreferContext): Tensor {
  const { places, lengths, spread } = sequences;
  const centre = spread(div(sub(lengths, 1), 2));
  const width = maximum(spread(div(lengths, 4)), 0.25);
  return exp(mul(square(div(sub(places, centre), width)), -0.5));
}

/**
 * TI-DPO (Yang et al. 2025, arXiv:2505.19653): tokens count by their importance, and a third response of the policy is drawn towards the chosen one.
 *   w_t = lambda minmax(|d log p(y) / d e_t|_1) + (1 - lambda) exp(-((t - (n - 1)/2) / (n/4))^2 / 2)
 *   L = -log sigmoid(r_w(y+) - r_w(y-)) + gamma max(0, d(a, y+) - d(a, y-) + alpha),   d(y, y') = (r_w(y)/|y| - r_w(y')/|y'|)^2
 * Against dpo: the weights of the tokens (without gradient), and the triplet term where examples hold a third sequence, the anchor a.
 */
export const tiDpo: PreferMethod = {
  id: 'ti-dpo',
  summary: 'tokens weighted by gradient attribution and place; triplet term with an anchor response',
  seed: 'P167',
  paper: 'arXiv:2505.19653',
  equation: 'r(y) = beta sum_t w_t log p/p_ref (y_t), w = lambda I + (1 - lambda) Gaussian; plus gamma triplet(anchor, y+, y-)',
  parent: 'dpo',
  defaults: { beta: 0.1, label_smoothing: 0, importance: 1, lambda: 0.7, triplet_gamma: 0.1, triplet_margin: 0.1 },
  knobs: {
    importance: 'how far the weights replace the constant 1; 0 is dpo where there are no anchors',
    lambda: 'share of the attribution; the rest is the place in the response',
    triplet_gamma: 'weight of the triplet term',
    triplet_margin: 'alpha of the triplet term',
  },
  limits: [{ settings: { importance: 0 }, inputs: 'pairs without anchors', tolerance: 0 }],
  provenance: 'derived',
  assumes: [
    'the attribution is that of the log-probability of the response itself: the target of the gradient is not to be had from the abstract',
    'attributions are brought to [0, 1] within a response',
    'distances are squared differences of the weighted rewards per token; lambda 0.7, gamma and alpha 0.1',
    'anchors are sampled when the data are made, not at every step',
  ],
  demo: { testbed: 'preference-noise', baseline: 'dpo', metric: 'eval_utility', cost: 'tokens', expect: 'gain' },
  // the attribution
  passes: ({ importance }) => (importance === 0 ? 0 : 1),
  wraps: ['tokenWeight'],
  tokenWeight: (context, inner) => {
    const { settings, sequences } = context;
    const [share, lambda] = [Number(settings.importance), Number(settings.lambda)];
    if (share === 0) return inner();
    const weight = add(mul(sequences.minMax(attribution(context)), lambda), mul(middle(context), 1 - lambda));
    return stopGradient(add(mul(weight, share), mul(inner(), 1 - share)));
  },
  auxiliary: (context) => {
    const { rewards, sequences, settings } = context;
    const { each, pick, lengths, present } = sequences;
    if (each < 3) return mul(sum(present), 0);
    const per = div(rewards, maximum(lengths, 1));
    const [chosen, rejected, anchor] = [0, 1, 2].map((j) => pick(per, j)) as [Tensor, Tensor, Tensor];
    const gap = sub(square(sub(anchor, chosen)), square(sub(anchor, rejected)));
    const triplet = maximum(add(gap, Number(settings.triplet_margin)), 0);
    return mul(div(sum(mul(triplet, present)), maximum(sum(present), 1)), Number(settings.triplet_gamma));
  },
};
