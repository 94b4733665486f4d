import type { ParamSpec, Settings } from '../../contracts/index.js';
import { full, type NDArray, zeros } from '../../tensor/array.js';
import type { Tensor } from '../../tensor/graph.js';
import { leafAt, mapLeaves } from './compose.js';
import { countElements, isDecayed } from './pieces.js';
import type { GradientTransform, Leaves, OptimizerMethod } from './slot.js';

/** Second moments of a matrix by the means over its rows and columns, those of a vector whole. */
type Moments<T> = { readonly row: T; readonly column: T } | { readonly whole: T };
type AdafactorState<T> = { readonly step: T; readonly moments: Leaves<Moments<T>> };

/** Added to squares before they are averaged (the paper's epsilon_1). */
const tiny = 1e-30;

const rms = (x: Tensor): Tensor => x.mul(x).mean().sqrt();

const initMoments = ({ shape }: ParamSpec): Moments<NDArray> => {
  const [rows, columns] = shape;
  return rows === undefined || columns === undefined ? { whole: zeros(shape) } : { row: zeros([rows, 1]), column: zeros([1, columns]) };
};

/** The next moments and g / sqrt(v), where the v of a matrix is row column / mean(row). */
function rescale(g: Tensor, before: Moments<Tensor>, beta2: Tensor): { u: Tensor; after: Moments<Tensor> } {
  const square = g.mul(g).add(tiny);
  const average = (old: Tensor, value: Tensor): Tensor => old.mul(beta2).add(value.mul(beta2.neg().add(1)));
  if ('whole' in before) {
    const whole = average(before.whole, square);
    return { u: g.div(whole.sqrt()), after: { whole } };
  }
  const row = average(before.row, square.mean({ axis: 1, keepDims: true }));
  const column = average(before.column, square.mean({ axis: 0, keepDims: true }));
  return { u: g.div(row.div(row.mean()).sqrt()).div(column.sqrt()), after: { row, column } };
}

function adafactorTransform(s: Settings): GradientTransform {
  const [decay, floor, threshold, weightDecay] = [s.decay_rate, s.adafactor_epsilon, s.clip_threshold, s.weight_decay].map(Number) as [
    number,
    number,
    number,
    number,
  ];
  return {
    init: (specs) => ({ step: full([], 0), moments: mapLeaves(specs, initMoments) }),
    update: (grads, state, { params, specs, rates }) => {
      const before = state as AdafactorState<Tensor>;
      const step = before.step.add(1);
      const beta2 = step.pow(decay).neg().add(1);
      const learningRate = leafAt(rates, 'learning_rate');
      const rate = s.relative_step === true ? learningRate.minimum(step.sqrt().recip()) : learningRate;
      const moments: Record<string, Moments<Tensor>> = {};
      const updates = mapLeaves(grads, (g, path) => {
        const p = leafAt(params, path);
        const { u, after } = rescale(g, leafAt(before.moments, path), beta2);
        moments[path] = after;
        const clipped = rms(u).div(threshold).maximum(1).recip();
        const size = s.scale_parameter === true ? clipped.mul(rms(p).maximum(floor)) : clipped;
        const moved = u.mul(size.mul(rate).neg());
        return weightDecay !== 0 && isDecayed(leafAt(specs, path)) ? moved.sub(p.mul(learningRate.mul(weightDecay))) : moved;
      });
      return { updates, state: { step, moments } };
    },
  };
}

/**
 * Adafactor (Shazeer and Stern, "Adafactor: Adaptive Learning Rates with Sublinear Memory Cost", arXiv:1804.04235, algorithms 4 and 5), without a first moment:
 *   b2 = 1 - t^decay_rate,  row = b2 row + (1-b2) mean_columns(g^2 + e),  column alike,  u = g / sqrt(row column / mean(row))
 *   p = p - lr max(epsilon, rms(p)) u / max(1, rms(u) / clip_threshold) - lr weight_decay p
 * Against adam: the second moment of a matrix costs one row and one column, no first moment, updates are clipped by their own size and scaled
 * by that of the parameter.
 */
export const adafactor: OptimizerMethod = {
  id: 'adafactor',
  summary: 'second moments by rows and columns, steps relative to the size of the parameter',
  paper: 'arXiv:1804.04235',
  equation: 'u = g / sqrt(row column / mean(row)), p = p - lr max(eps, rms(p)) u / max(1, rms(u) / d)',
  parent: 'adam',
  defaults: {
    learning_rate: 0.01,
    decay_rate: -0.8,
    clip_threshold: 1,
    adafactor_epsilon: 1e-3,
    scale_parameter: true,
    relative_step: false,
    weight_decay: 0,
  },
  knobs: {
    decay_rate: 'exponent of the step in b2 = 1 - t^decay_rate',
    clip_threshold: 'root mean square that an update may have (d)',
    adafactor_epsilon: 'least size that a parameter counts with (epsilon_2)',
    scale_parameter: "whether steps are relative to the parameter's root mean square",
    relative_step: "whether the rate is at most 1 / sqrt(t), as in the paper's experiments and in PyTorch",
  },
  rates: ['learning_rate'],
  limits: [
    {
      settings: { decay_rate: 0, scale_parameter: false, weight_decay: 0, adam_beta1: 0, adam_beta2: 0, adam_epsilon: 0 },
      inputs: 'vectors without zeros in the gradient',
      tolerance: 1e-6,
    },
  ],
  provenance: 'paper',
  assumes: [
    'relative_step is off by default: the schedule sets the rate, as for the other optimizers',
    'weight decay is decoupled and multiplied by the scheduled rate (PyTorch); gains and biases do not decay',
    'embeddings are factored like matrices',
  ],
  create: adafactorTransform,
  // squares and their means (4), the quotient (4), the size (3), the update (2), the parameter's size (2)
  flops: (specs) => 15 * countElements(specs),
};
