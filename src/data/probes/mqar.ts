import { VitroError } from '../../tensor/errors.js';
import { checkSetting, defineProbe, type Probe } from './probe.js';

export interface MqarSettings {
  readonly vocab_size?: number;
  readonly context?: number;
  readonly num_kv_pairs?: number;
  /** exponent of the gaps: the chance that slot j = 1, 2, ... after the pairs holds a query is proportional to j^(power_a - 1) */
  readonly power_a?: number;
  /** fills what is neither pair nor query with random tokens instead of 0 */
  readonly random_non_queries?: boolean;
}

/**
 * Multi-query associative recall (Arora et al. 2023, arXiv:2312.04927). A row begins with num_kv_pairs pairs "key value" of different keys and
 * values; then every key comes once more as a query, at even offsets drawn without replacement from a power law (early slots are likelier), and
 * its value is the target there. Token 0 fills; keys are 1 ... V/2-1, values V/2 ... V-1.
 */
export function mqar(settings: MqarSettings = {}): Probe {
  const { vocab_size = 128, context = 64, num_kv_pairs = 8, power_a = 0.01, random_non_queries = false } = settings;
  const half = Math.floor(vocab_size / 2);
  const start = 2 * num_kv_pairs;
  const slots = Math.floor((context - start) / 2);
  checkSetting('mqar', 'num_kv_pairs', num_kv_pairs, 1, half - 1);
  if (slots < num_kv_pairs)
    throw new VitroError(
      `mqar: a context of ${context} has no room for ${num_kv_pairs} pairs and their queries; it must be at least ${4 * num_kv_pairs}`,
    );
  if (!(power_a > 0)) throw new VitroError(`mqar: power_a must be positive, got ${power_a}`);
  const weights = Array.from({ length: slots }, (_, j) => (j + 1) ** (power_a - 1));
  return defineProbe({
    id: 'mqar',
    summary: `recall the values of ${num_kv_pairs} keys that were given once`,
    paper: 'arXiv:2312.04927',
    settings: { vocab_size, context, num_kv_pairs, power_a, random_non_queries },
    vocab_size,
    context,
    chance: 1 / (vocab_size - half),
    example(draws, inputs, targets) {
      const keys = draws.distinct(num_kv_pairs, half - 1);
      const values = draws.distinct(num_kv_pairs, vocab_size - half);
      const gaps = draws.weighted(num_kv_pairs, weights);
      for (let i = 0; i < num_kv_pairs; i++) {
        const key = (keys[i] as number) + 1;
        const value = (values[i] as number) + half;
        const query = start + 2 * (gaps[i] as number);
        inputs[2 * i] = key;
        inputs[2 * i + 1] = value;
        inputs[query] = key;
        targets[query] = value;
      }
      if (random_non_queries) for (let t = start; t < context; t++) if (targets[t] === -1) inputs[t] = draws.below(vocab_size);
    },
  });
}
