import type { Tensor } from '../../tensor/graph.js';
import { add, and, cast, div, eq, ge, le, lt, maximum, mul, or } from '../../tensor/ops/elementwise.js';
import { sum } from '../../tensor/ops/reduce.js';
import type { PreferContext, PreferMethod } from './slot.js';
import { chosenLoss } from './terms.js';

const levels = { trajectory: 0, step: 1, group: 2 } as const;

/** Phase 1, 2 or 3 of the curriculum, as a scalar. */
function phase({ progress, settings }: PreferContext): Tensor {
  const [first, second] = [Number(settings.second_phase), Number(settings.third_phase)];
  return add(add(cast(ge(progress, first), 'f32'), cast(ge(progress, second), 'f32')), 1);
}

/** 1 for pairs that the curriculum lets in: trajectories and steps always, groups by their length and how clearly they differ. */
function admitted(context: PreferContext): Tensor {
  const { column } = context;
  const now = phase(context);
  // bucket (1, 1), then also its neighbours, then all of the nine
  const reach = add(column('length_bucket'), column('difficulty_bucket'));
  const early = and(le(reach, 2), ge(now, 1));
  const middle = and(le(reach, 3), ge(now, 2));
  const late = ge(now, 3);
  const isGroup = eq(column('level'), levels.group);
  return cast(or(lt(column('level'), levels.group - 0.5), and(isGroup, or(early, or(middle, late)))), 'f32');
}

/**
 * Hierarchical preference learning (Gao et al. 2025, arXiv:2510.03253): DPO of whole trajectories, of steps and of groups of actions, with a
 * curriculum over the groups.
 *   L = bc_weight CE(y+ of trajectories) + L_trajectory + L_step + L_group, each the mean DPO loss of its pairs
 *   groups are let in by bucket (length, difficulty) in 1..3 x 1..3: first (1,1), then (1,2) and (2,1), then all
 * Against dpo: the selection, the weights of the pairs, the auxiliary term. The pairs of all levels come in one set; a pair's prompt holds what went
 * before.
 */
export const hpl: PreferMethod = {
  id: 'hpl',
  summary: 'DPO of trajectories, steps and groups of actions, from easy groups to all',
  seed: 'P567',
  paper: 'arXiv:2510.03253',
  equation: 'L = L_BC + L_trajectory + L_step + L_group, groups by a 3 x 3 curriculum',
  parent: 'dpo',
  defaults: { beta: 0.1, label_smoothing: 0, bc_weight: 1, balance: true, curriculum: true, second_phase: 1 / 3, third_phase: 2 / 3 },
  knobs: {
    bc_weight: 'weight of the cross-entropy of the chosen responses',
    balance: 'false: one mean over all pairs instead of the sum of the means of the levels',
    curriculum: 'false lets all groups in from the start',
    second_phase: 'share of the run after which buckets (1,2) and (2,1) join',
    third_phase: 'share of the run after which all groups are in',
  },
  limits: [{ settings: { bc_weight: 0, balance: false, curriculum: false }, tolerance: 0 }],
  provenance: 'paper',
  assumes: [
    'three phases of equal length',
    'the cross-entropy covers the chosen responses of all levels, as each is a part of an expert trajectory',
    'bucket 1 of difficulty holds the pairs whose returns differ most',
  ],
  demo: { testbed: 'preference-subtasks', baseline: 'dpo', metric: 'eval_success', cost: 'tokens', expect: 'gain' },
  columns: {
    level: '0 trajectory, 1 step, 2 group of actions',
    length_bucket: '1 to 3, short to long; any number where the level is not 2',
    difficulty_bucket: '1 to 3, easy to hard; any number where the level is not 2',
  },
  wraps: ['select', 'pairWeight'],
  select: (context, inner) => (context.settings.curriculum === false ? inner() : mul(inner(), admitted(context))),
  pairWeight: (context, inner) => {
    const { column, sequences, settings } = context;
    if (settings.balance === false) return inner();
    const counts = settings.curriculum === false ? sequences.present : mul(sequences.present, admitted(context));
    const total = sum(counts);
    const weights = Object.values(levels).map((level) => {
      const own = mul(cast(eq(column('level'), level), 'f32'), counts);
      return mul(own, div(total, maximum(sum(own), 1)));
    });
    return mul(
      inner(),
      weights.reduce((a, b) => add(a, b)),
    );
  },
  auxiliary: (context) => mul(chosenLoss(context), Number(context.settings.bc_weight)),
};
