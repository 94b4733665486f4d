import { NDArray } from '../../tensor/array.js';
import type { Tensor } from '../../tensor/graph.js';
import { iota } from '../../tensor/ops/create.js';
import { cast, mul, sub } from '../../tensor/ops/elementwise.js';
import { reshape } from '../../tensor/ops/movement.js';
import { constant } from '../../tensor/ops/operand.js';
import type { PositionMethod, Positions } from './slot.js';

/** One slope a head: 2^(-8h/n) for a power of two n of heads; other numbers take every second slope of the next power for the rest. */
export function alibiSlopes(heads: number): number[] {
  const powers = (n: number): number[] => Array.from({ length: n }, (_, h) => 2 ** ((-8 * (h + 1)) / n));
  const whole = 2 ** Math.floor(Math.log2(heads));
  const more = powers(2 * whole).filter((_, i) => i % 2 === 0);
  return [...powers(whole), ...more].slice(0, heads);
}

/** Positions as f32 [1 or B, 1, T, 1]. */
function column(positions: Positions): Tensor {
  if ('count' in positions) return reshape(iota([positions.count], 0, 'f32'), [1, 1, positions.count, 1]);
  const [batch, time] = positions.ids.shape as [Tensor['shape'][number], Tensor['shape'][number]];
  return reshape(cast(positions.ids, 'f32'), [batch, 1, time, 1]);
}

/** Positions as f32 [1 or B, 1, 1, T]. */
function row(positions: Positions): Tensor {
  const x = column(positions);
  return reshape(x, [x.shape[0] ?? 1, 1, 1, x.shape[2] ?? 1]);
}

/**
 * Attention with linear biases (Press et al. 2022, arXiv:2108.12409): each score falls with the distance, at a rate of its own for each head.
 * Against rope: queries and keys do not turn; the bias -slope_h (t - s) is added to the scores.
 */
export const alibi: PositionMethod = {
  id: 'alibi',
  summary: 'scores fall linearly with the distance, each head at its own rate',
  paper: 'arXiv:2108.12409',
  equation: 'score_ts = scale q_t . k_s - slope_h (t - s), slope_h = 2^(-8h/n)',
  parent: 'nope',
  defaults: { slope_scale: 1 },
  knobs: { slope_scale: 'multiplies all slopes; 0 is nope' },
  limits: [{ settings: { slope_scale: 0 }, tolerance: 0 }],
  provenance: 'paper',
  assumes: [],
  apply: ({ config, settings, queries, keys }) => {
    const slopes = alibiSlopes(config.num_attention_heads).map((s) => -s * Number(settings.slope_scale));
    const perHead = constant(new NDArray('f32', [1, slopes.length, 1, 1], Float32Array.from(slopes)));
    return { bias: mul(perHead, sub(column(queries), row(keys))) };
  },
};
