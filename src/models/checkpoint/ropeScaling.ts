import { VitroError } from '../../tensor/errors.js';

/** Settings of Llama 3.1's rope scaling under config.json's names. */
export interface Llama3Scaling {
  readonly factor: number;
  readonly low_freq_factor: number;
  readonly high_freq_factor: number;
  readonly original_max_position_embeddings: number;
}

/**
 * Divisors of the d/2 rotary frequencies theta^(-2i/d) under Llama 3.1's scaling, which GGUF stores as rope_freqs.weight: 1 for wavelengths
 * shorter than original / high_freq_factor, `factor` for those longer than original / low_freq_factor, and between them the divisor that
 * interpolates the frequency linearly in original / wavelength (Llama 3.1, arXiv:2407.21783; transformers' rope_type "llama3").
 */
export function llama3Divisors(d: number, theta: number, scaling: Llama3Scaling): Float32Array {
  const { factor, low_freq_factor: low, high_freq_factor: high, original_max_position_embeddings: original } = scaling;
  if (!(high > low)) throw new VitroError(`rope_scaling: high_freq_factor ${high} must be greater than low_freq_factor ${low}`);
  return Float32Array.from({ length: d / 2 }, (_, i) => {
    const turns = original / (2 * Math.PI * theta ** ((2 * i) / d));
    if (turns > high) return 1;
    if (turns < low) return factor;
    const smooth = (turns - low) / (high - low);
    return 1 / ((1 - smooth) / factor + smooth);
  });
}

/** The settings that stored divisors came from, with the low, high and original values of every released Llama 3; undefined where they do not fit. */
export function llama3ScalingOf(divisors: ArrayLike<number>, theta: number): Llama3Scaling | undefined {
  const factor = Math.max(...Array.from(divisors));
  const scaling = { factor, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 8192 };
  const again = llama3Divisors(divisors.length * 2, theta, scaling);
  return again.every((v, i) => Math.abs(v - (divisors[i] as number)) <= 1e-4 * v) ? scaling : undefined;
}
