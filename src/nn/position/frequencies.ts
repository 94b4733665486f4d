import type { Settings } from '../../contracts/index.js';
import { VitroError } from '../../tensor/errors.js';
import type { PositionConfig } from './slot.js';

/** Angles per position, and the factor of cos and sin. */
export interface RopeFrequencies {
  /** radians per position of each rotated pair */
  readonly inverse: readonly number[];
  /** multiplies cos and sin (yarn and longrope sharpen attention by it) */
  readonly factor: number;
}

function numberOf(settings: Settings, key: string, fallback?: number): number {
  const value = settings[key] ?? fallback;
  if (typeof value === 'number' && Number.isFinite(value)) return value;
  throw new VitroError(`rope of type "${settings.rope_type}" needs the number "${key}", got ${String(value)}`);
}

const original = (config: PositionConfig, settings: Settings): number =>
  numberOf(settings, 'original_max_position_embeddings', config.max_position_embeddings);

/** How much longer the context is than the original one: the default of `factor`. */
const stretchOf = (config: PositionConfig, length: number): number => config.max_position_embeddings / length;

/** YaRN (Peng et al. 2023, arXiv:2309.00071, section 3): slow pairs are interpolated, fast ones kept, a ramp between. */
function yarn(plain: readonly number[], size: number, config: PositionConfig, settings: Settings): RopeFrequencies {
  const base = numberOf(settings, 'rope_theta', 10000);
  const length = original(config, settings);
  const factor = numberOf(settings, 'factor', stretchOf(config, length));
  /** pair that turns `rotations` times over the original context */
  const pairOf = (rotations: number): number => (size * Math.log(length / (rotations * 2 * Math.PI))) / (2 * Math.log(base));
  const truncate = settings.truncate !== false;
  const [fast, slow] = [pairOf(numberOf(settings, 'beta_fast', 32)), pairOf(numberOf(settings, 'beta_slow', 1))];
  const low = Math.max(truncate ? Math.floor(fast) : fast, 0);
  const high = Math.min(truncate ? Math.ceil(slow) : slow, size - 1);
  const inverse = plain.map((f, i) => {
    const interpolated = Math.min(Math.max((i - low) / (high === low ? 0.001 : high - low), 0), 1);
    return (f / factor) * interpolated + f * (1 - interpolated);
  });
  const sharpness = (m: number): number => (factor <= 1 ? 1 : 0.1 * m * Math.log(factor) + 1);
  const both = Boolean(settings.mscale && settings.mscale_all_dim);
  const inferred = both ? sharpness(numberOf(settings, 'mscale')) / sharpness(numberOf(settings, 'mscale_all_dim')) : sharpness(1);
  return { inverse, factor: numberOf(settings, 'attention_factor', inferred) };
}

/** Llama 3's scaling: long waves are stretched by `factor`, short ones kept, a smooth passage between. */
function llama3(plain: readonly number[], settings: Settings, length: number): RopeFrequencies {
  const [factor, low, high] = [numberOf(settings, 'factor'), numberOf(settings, 'low_freq_factor'), numberOf(settings, 'high_freq_factor')];
  const inverse = plain.map((f) => {
    const waves = (length * f) / (2 * Math.PI);
    if (waves < low) return f / factor;
    if (waves > high) return f;
    const keep = (waves - low) / (high - low);
    return ((1 - keep) * f) / factor + keep * f;
  });
  return { inverse, factor: 1 };
}

/** LongRoPE (Ding et al. 2024, arXiv:2402.13753): a divisor for every pair, one list within the original context and one beyond. */
function longrope(
  plain: readonly number[],
  settings: Settings,
  span: { readonly length: number; readonly limit: number; readonly most: number },
): RopeFrequencies {
  const key = span.limit > span.length ? 'long_factor' : 'short_factor';
  const divisors = settings[key];
  if (!Array.isArray(divisors) || divisors.length !== plain.length || !divisors.every((d) => Number.isFinite(d) && d > 0))
    throw new VitroError(`rope of type "longrope" needs "${key}" with ${plain.length} positive numbers, one for each rotated pair`);
  const factor = numberOf(settings, 'factor', span.most / span.length);
  const inferred = factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(span.length));
  return { inverse: plain.map((f, i) => f / Number(divisors[i])), factor: numberOf(settings, 'attention_factor', inferred) };
}

/**
 * Frequencies of rotary positions for a context of `limit` tokens (dynamic and longrope depend on it), with the scaling types and keys of
 * Hugging Face's config.json: default, linear, dynamic, yarn, llama3, longrope.
 *
 * @throws VitroError for an unknown type or a missing key
 */
export function ropeFrequencies(config: PositionConfig, settings: Settings, limit: number): RopeFrequencies {
  const size = 2 * Math.floor((config.head_dim * numberOf(settings, 'partial_rotary_factor', 1)) / 2);
  const base = numberOf(settings, 'rope_theta', 10000);
  const powers = (b: number): number[] => Array.from({ length: size / 2 }, (_, i) => b ** ((-2 * i) / size));
  const plain = powers(base);
  const length = original(config, settings);
  switch (settings.rope_type ?? 'default') {
    case 'default':
      return { inverse: plain, factor: 1 };
    case 'linear':
      return { inverse: plain.map((f) => f / numberOf(settings, 'factor')), factor: 1 };
    case 'dynamic': {
      const factor = numberOf(settings, 'factor');
      const stretch = (factor * Math.max(limit, length)) / length - (factor - 1);
      return { inverse: powers(base * stretch ** (size / (size - 2))), factor: 1 };
    }
    case 'yarn':
      return yarn(plain, size, config, settings);
    case 'llama3':
      return llama3(plain, settings, length);
    case 'longrope':
      return longrope(plain, settings, { length, limit, most: config.max_position_embeddings });
    default:
      throw new VitroError(`unknown rope_type "${settings.rope_type}"; known: default, linear, dynamic, yarn, llama3, longrope`);
  }
}
