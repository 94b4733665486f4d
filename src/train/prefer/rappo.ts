import { iota } from '../../tensor/ops/create.js';
import { add, cast, eq, gt, lt, mul, stopGradient, sub } from '../../tensor/ops/elementwise.js';
import { unsqueeze } from '../../tensor/ops/movement.js';
import { sum } from '../../tensor/ops/reduce.js';
import type { PreferMethod } from './slot.js';

/**
 * RAPPO (Zhu et al. 2026, ICLR 2026, algorithm 1): drops the pairs that the reference orders wrongly and that have the highest losses.
 *   unaligned: p_ref(y+) / p_ref(y-) <= tau;   of b > q unaligned pairs in a batch, the q with the highest losses do not count
 * Against dpo: the selection.
 */
export const rappo: PreferMethod = {
  id: 'rappo',
  summary: 'drops the hardest of the pairs that the reference orders wrongly',
  seed: 'P074',
  paper: 'ICLR 2026, "Keep the Best, Forget the Rest" (openreview LrHfYPFTtg)',
  equation: 'of the pairs with p_ref(y+)/p_ref(y-) <= tau, the q of highest loss do not count',
  parent: 'dpo',
  defaults: { beta: 0.1, label_smoothing: 0, dropped: 1, threshold: 1 },
  knobs: {
    dropped: 'q: pairs of a batch that are left out where more are unaligned; 0 is dpo',
    threshold: 'tau: ratio of the probabilities under the reference up to which a pair counts as unaligned',
  },
  limits: [{ settings: { dropped: 0 }, tolerance: 0 }],
  provenance: 'paper',
  assumes: ['equal losses are ordered by their place in the batch'],
  demo: { testbed: 'preference-noise', baseline: 'dpo', metric: 'eval_utility', cost: 'tokens', expect: 'gain' },
  wraps: ['select'],
  select: ({ referenceLogps, sequences, losses, settings }, inner) => {
    const { pick, examples: E } = sequences;
    const [q, tau] = [Number(settings.dropped), Number(settings.threshold)];
    const counts = inner();
    const gap = sub(pick(referenceLogps, 0), pick(referenceLogps, 1));
    const unaligned = stopGradient(mul(cast(lt(gap, Math.log(tau) + 1e-12), 'f32'), counts));
    const loss = stopGradient(losses);
    const [mine, other] = [unsqueeze(loss, 1), unsqueeze(loss, 0)];
    const earlier = cast(lt(iota([1, E], 1), iota([E, 1], 0)), 'f32');
    const harder = add(cast(gt(other, mine), 'f32'), mul(cast(eq(other, mine), 'f32'), earlier));
    const rank = sum(mul(harder, unsqueeze(unaligned, 0)), { axis: 1 });
    const drops = mul(mul(unaligned, cast(lt(rank, q), 'f32')), cast(gt(sum(unaligned), q), 'f32'));
    return sub(counts, drops);
  },
};
