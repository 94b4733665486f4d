import type { Settings } from '../../contracts/index.js';
import { NDArray } from '../../tensor/array.js';
import type { Tensor } from '../../tensor/graph.js';
import { applyRotary, type RopeTables } from '../../tensor/ops/attention.js';
import { embedding } from '../../tensor/ops/indexing.js';
import { unsqueeze } from '../../tensor/ops/movement.js';
import { constant } from '../../tensor/ops/operand.js';
import { concat, slice } from '../../tensor/ops/slicing.js';
import { ropeFrequencies } from './frequencies.js';
import type { PositionConfig, PositionMethod, Positions } from './slot.js';

/** cos and sin of position times frequency, [limit, rotary/2], times the attention factor. */
function tablesOf(config: PositionConfig, settings: Settings, limit: number): RopeTables {
  const { inverse, factor } = ropeFrequencies(config, settings, limit);
  const half = inverse.length;
  const table = (f: (angle: number) => number): Tensor => {
    const data = new Float32Array(limit * half);
    for (let t = 0; t < limit; t++) for (let i = 0; i < half; i++) data[t * half + i] = f(t * (inverse[i] as number)) * factor;
    return constant(new NDArray('f32', [limit, half], data));
  };
  return { cos: table(Math.cos), sin: table(Math.sin) };
}

/** Rows of the tables at the positions, ready to broadcast against [B, H, T, d]. */
function rowsAt(config: PositionConfig, settings: Settings, positions: Positions): RopeTables {
  if ('count' in positions) return tablesOf(config, settings, positions.count);
  const { cos, sin } = tablesOf(config, settings, positions.limit);
  const pick = (table: Tensor): Tensor => unsqueeze(embedding(positions.ids, table), 1);
  return { cos: pick(cos), sin: pick(sin) };
}

/** Size of the rotated part of a head. */
export const rotarySize = (config: PositionConfig, settings: Settings): number =>
  2 * Math.floor((config.head_dim * Number(settings.partial_rotary_factor)) / 2);

/** Turns [B, H, T, d] by the positions of its T tokens. */
function turner(config: PositionConfig, settings: Settings, positions: Positions): (x: Tensor) => Tensor {
  const size = rotarySize(config, settings);
  const { cos, sin } = rowsAt(config, settings, positions);
  return (x) => {
    if (size === config.head_dim) return applyRotary(x, cos, sin);
    const turned = applyRotary(slice(x, [[], [], [], [0, size]]), cos, sin);
    return concat([turned, slice(x, [[], [], [], [size]])], -1);
  };
}

/**
 * Rotary position embedding (Su et al. 2021, arXiv:2104.09864): pairs (i, i + r/2) of the first r features of queries and keys turn by
 * position * rope_theta^(-2i/r). Scaling types of the field change the frequencies: linear, dynamic, yarn, llama3, longrope.
 * The root of the slot.
 */
export const rope: PositionMethod = {
  id: 'rope',
  summary: 'rotates queries and keys by their positions',
  paper: 'arXiv:2104.09864',
  equation: 'q_t, k_t turn by t theta_i in the plane of features i and i + r/2, theta_i = rope_theta^(-2i/r)',
  defaults: { rope_theta: 10000, partial_rotary_factor: 1, rope_type: 'default' },
  knobs: {
    partial_rotary_factor: 'share of each head that rotates',
    rope_type: 'default, linear, dynamic, yarn, llama3 or longrope, with the keys of config.json (factor, ...)',
  },
  limits: [],
  provenance: 'paper',
  assumes: [],
  apply: ({ config, settings, queries, keys }) => {
    const rotate = turner(config, settings, queries);
    return { rotate, rotateKeys: keys === queries ? rotate : turner(config, settings, keys) };
  },
  tables: (config, settings, limit) => (rotarySize(config, settings) === config.head_dim ? tablesOf(config, settings, limit) : undefined),
};
