import type { Settings } from '../../contracts/index.js';
import { full } from '../../tensor/array.js';
import type { Tensor } from '../../tensor/graph.js';
import { adamw } from './adamw.js';
import { chain, leafAt, mapLeaves } from './compose.js';
import { hiddenAndRest, hiddenAndRestFlops } from './hidden.js';
import { type Factors, initFactors, lowRankProduct, regressFactors, regressFlops } from './lowRank.js';
import { addDecayedWeights, isDecayed, scaleByRate, sizeOf } from './pieces.js';
import type { GradientTransform, Leaves, OptimizerMethod } from './slot.js';

type LowRankAdamState<T> = {
  readonly correction1: T;
  readonly correction2: T;
  /** stands for the mean of g */
  readonly mu: Leaves<Factors<T>>;
  /** its square stands for the mean of g^2 */
  readonly nu: Leaves<Factors<T>>;
};

/** Adam's direction with both moments of every matrix kept as factors; see loraPre. */
function scaleByLowRankAdam(s: Settings): GradientTransform {
  const [beta1, beta2, epsilon, rank] = [s.adam_beta1, s.adam_beta2, s.adam_epsilon, s.rank].map(Number) as [
    number,
    number,
    number,
    number,
  ];
  return {
    init: (specs) => ({
      correction1: full([], 0),
      correction2: full([], 0),
      mu: mapLeaves(specs, (spec) => initFactors(spec, rank)),
      nu: mapLeaves(specs, (spec) => initFactors(spec, rank)),
    }),
    update: (grads, state) => {
      const before = state as LowRankAdamState<Tensor>;
      const correction1 = before.correction1.mul(beta1).add(1 - beta1);
      const correction2 = before.correction2.mul(beta2).add(1 - beta2);
      const updates = mapLeaves(grads, (g, path) => {
        const m = lowRankProduct(leafAt(before.mu, path))
          .mul(beta1)
          .add(g.mul(1 - beta1));
        const root = lowRankProduct(leafAt(before.nu, path));
        const v = root
          .mul(root)
          .mul(beta2)
          .add(g.mul(g).mul(1 - beta2));
        return m.div(correction1).div(v.div(correction2).sqrt().add(epsilon));
      });
      // the products of factors shrink like their moments: (1 - gamma1)^2 = b1 and, as the second is squared, (1 - gamma2)^4 = b2
      const mu = mapLeaves(grads, (g, path) => regressFactors(leafAt(before.mu, path), g, 1 - Math.sqrt(beta1)));
      const nu = mapLeaves(grads, (g, path) => regressFactors(leafAt(before.nu, path), g.abs(), 1 - beta2 ** 0.25));
      return { updates, state: { correction1, correction2, mu, nu } };
    },
  };
}

/**
 * LoRA-Pre (Wang et al., "Taming Momentum: Rethinking Optimizer States Through Low-Rank Approximation", arXiv:2602.24283, catalogue P470). A running
 * mean is online regression on the gradient; its factors can be regressed instead of it. For hidden matrices, with B A for m and (D C)^2 for v:
 *   m = b1 B A + (1 - b1) g,   v = b2 (D C)^2 + (1 - b2) g^2,   p as in AdamW
 *   B = (1 - y) B + y g A^T (A A^T)^-1,   A = (1 - y) A + y (B^T B)^-1 B^T g,   (1 - y)^2 = b1;   D, C alike on |g| with (1 - y)^4 = b2
 * Against adamw: the moments of hidden matrices are kept as factors of a small rank.
 */
export const loraPre: OptimizerMethod = {
  id: 'lora-pre',
  summary: 'AdamW with the moments of hidden matrices kept as low-rank factors',
  seed: 'P470',
  paper: 'arXiv:2602.24283',
  equation:
    'm = b1 BA + (1-b1) g, v = b2 (DC)^2 + (1-b2) g^2; B = (1-y) B + y g A^T (AA^T)^-1, A = (1-y) A + y (B^TB)^-1 B^T g, (1-y)^2 = b1',
  parent: 'adamw',
  defaults: { ...adamw.defaults, rank: 16 },
  knobs: { rank: 'rank of the factors, at most the smaller side of a matrix' },
  rates: ['learning_rate'],
  limits: [{ settings: {}, inputs: 'no hidden matrices', tolerance: 0 }],
  provenance: 'paper',
  assumes: [
    'no code is published; the formulas are those of the paper as secondary sources quote them: both factors read those of the step before, and the direction is made of the kept moment and the fresh gradient',
    'the start: left factors zero, right factors normal, equal for all runs',
    'Gram matrices get 1e-6 of their mean eigenvalue on the diagonal before they are inverted',
    'embeddings keep whole moments',
  ],
  demo: { testbed: 'shakespeare', baseline: 'adamw', metric: 'val/bpb', cost: 'tokens', expect: 'equivalent' },
  create: (s) =>
    hiddenAndRest(
      chain(scaleByLowRankAdam(s), addDecayedWeights(Number(s.weight_decay), isDecayed), scaleByRate('learning_rate')),
      s,
      'learning_rate',
    ),
  flops: (specs, s) => hiddenAndRestFlops(specs, s, (spec) => 2 * regressFlops(spec, Number(s.rank)) + 15 * sizeOf(spec)),
};
