import { modelLogits, modelLoss } from '../../models/index.js';
import { VitroError } from '../../tensor/errors.js';
import type { Tensor } from '../../tensor/graph.js';
import { logSoftmax } from '../../tensor/ops/activation.js';
import { iota } from '../../tensor/ops/create.js';
import { add, and, cast, div, exp, floor, ge, gt, maximum, minimum, mod, mul, stopGradient, sub } from '../../tensor/ops/elementwise.js';
import { crossEntropy } from '../../tensor/ops/loss.js';
import { broadcastTo, unsqueeze } from '../../tensor/ops/movement.js';
import { dimOf } from '../../tensor/ops/operand.js';
import { sum } from '../../tensor/ops/reduce.js';
import { eachKey, uniform } from '../../tensor/random.js';
import { batchView, meanOver, timeOf } from './lookAhead.js';
import type { BatchTensors, ObjectiveContext, ObjectiveMethod } from './slot.js';

/** Positions i32 [B, T] of the perturbed view, and where the two views may differ, bool [B, T]. */
interface Perturbed {
  readonly positions: Tensor;
  readonly moved: Tensor;
}

/** Uniform integers i32 [B, 1] in [0, n), one for each row. */
const integers = (key: Tensor, batch: BatchTensors, n: number): Tensor =>
  unsqueeze(minimum(cast(floor(uniform(key, [dimOf(batch.targets, 0)], { high: n })), 'i32'), n - 1), 1);

/** A gap of y positions before token s of each row, y and s uniform. */
function skip(batch: BatchTensors, base: Tensor, key: Tensor, longest: number): Perturbed {
  const [keyS, keyY] = eachKey(key, 2) as [Tensor, Tensor];
  const moved = ge(iota([1, timeOf(batch)], 1), integers(keyS, batch, timeOf(batch)));
  if (longest === 0) return { positions: base, moved };
  const gap = add(integers(keyY, batch, longest), 1);
  return { positions: add(base, mul(cast(moved, 'i32'), gap)), moved };
}

/** Every row turned by a uniform number of positions. */
function cyclic(batch: BatchTensors, base: Tensor, key: Tensor): Perturbed {
  const time = timeOf(batch);
  const positions = mod(add(base, integers(key, batch, time)), time);
  return { positions, moved: ge(positions, 0) };
}

/** The perturbed view; every position in it lies below the model's context. */
export function perturb({ model, batch, key, settings }: Pick<ObjectiveContext, 'model' | 'batch' | 'key' | 'settings'>): Perturbed {
  const time = timeOf(batch);
  const room = model.context - time;
  const base = batch.positions ?? broadcastTo(iota([1, time], 1), batch.targets.shape);
  const { perturbation } = settings;
  if (!['auto', 'skip', 'cyclic'].includes(String(perturbation)))
    throw new VitroError(`rope-perturbed: perturbation must be auto, skip or cyclic, got ${String(perturbation)}`);
  if (perturbation === 'cyclic' || (perturbation === 'auto' && room < 1)) return cyclic(batch, base, key);
  if (room < 1)
    throw new VitroError(
      `rope-perturbed: skips need positions beyond the ${time} of a batch, but the model has ${model.context}; raise max_position_embeddings or set perturbation: cyclic`,
    );
  return skip(batch, base, key, Math.min(Math.round(Number(settings.max_skip_ratio) * time), room));
}

/**
 * RoPE-perturbed self-distillation (Li et al. 2026, arXiv:2604.14339, section 3): the model must predict the same with parts of the context
 * at other positions.
 *   L = L_next + weight mean_rows mean_{t>=s} KL( p_t(. | positions r) || sg p_t(. | positions 0 ... T-1) )
 *   skip: r_i = i + y [i >= s], s uniform in the row, y uniform in 1 ... max_skip_ratio T;   cyclic: r_i = (i + u) mod T
 * Against next-token: the second term, over one more pass. Gradients flow through the perturbed view only (sg stops them).
 */
export const ropePerturbed: ObjectiveMethod = {
  id: 'rope-perturbed',
  summary: 'predictions must not change when parts of the context move to other positions',
  seed: 'S13',
  paper: 'arXiv:2604.14339',
  equation: 'L = L_next + weight mean KL(p(. | perturbed positions) || stopgrad p(. | positions))',
  parent: 'next-token',
  defaults: { weight: 1, perturbation: 'auto', max_skip_ratio: 1 },
  knobs: {
    weight: 'factor of the divergence; the paper finds 0.5 to 1 best',
    perturbation:
      'skip (a gap within the row), cyclic (all positions turn), or auto: skip where the model has positions beyond the batch, else cyclic',
    max_skip_ratio: 'longest gap over the length of the row; cut to the positions that the model has',
  },
  limits: [
    { settings: { weight: 0 }, tolerance: 0 },
    // without a gap the two views are the same, and the divergence of equal distributions has no gradient
    { settings: { max_skip_ratio: 0, perturbation: 'skip' }, tolerance: 1e-6 },
  ],
  provenance: 'paper',
  assumes: [
    'read from a summary of the paper that quotes its equations, not from the paper itself',
    'every row draws a gap of its own',
    'gaps are cut to the positions that the model has; the paper lets positions reach twice the trained context',
    'with packed documents the gap is added to the positions within the document',
    'only positions that count are compared; rows with none after the gap are left out',
  ],
  demo: {
    testbed: 'needle',
    baseline: 'next-token',
    metric: 'val/accuracy',
    cost: 'tokens',
    expect: 'gain',
  },
  loss: (context) => {
    const { model, params, batch, hidden, settings } = context;
    const weight = Number(settings.weight);
    if (weight === 0) return { loss: modelLoss(model, params, hidden(), batch.targets) };
    const { positions, moved } = perturb(context);
    const logits = modelLogits(model, params, hidden());
    const next = crossEntropy(logits, batch.targets);
    const teacher = stopGradient(logSoftmax(logits));
    const student = logSoftmax(modelLogits(model, params, hidden({ ...batchView(batch), positions })));
    const divergence_BT = sum(mul(exp(student), sub(student, teacher)), { axis: 2 });
    const counts = and(ge(batch.targets, 0), moved);
    const perRow = sum(cast(counts, 'f32'), { axis: 1 });
    const rowMeans = div(sum(mul(divergence_BT, cast(counts, 'f32')), { axis: 1 }), maximum(perRow, 1));
    const auxiliary = meanOver(rowMeans, gt(perRow, 0));
    return { loss: add(next, mul(auxiliary, weight)), metrics: { next_token_loss: next, auxiliary_loss: auxiliary } };
  },
  extraFlops: ({ model, batch_size, context }, { weight }) =>
    Number(weight) === 0 ? 0 : batch_size * context * model.trainFlopsPerToken(context),
};
