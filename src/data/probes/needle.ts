import { VitroError } from '../../tensor/errors.js';
import { checkSetting, defineProbe, type Probe } from './probe.js';

export interface NeedleSettings {
  readonly vocab_size?: number;
  readonly context?: number;
  readonly num_needles?: number;
}

/**
 * Needles in a haystack (after RULER's multi-key retrieval, Hsieh et al. 2024, arXiv:2404.06654): pairs "key value" stand at random depths of a long text of
 * random filler; at the end every key is asked once, in random order, and its value is the target. How far an answer lies back varies over the
 * whole context. Token ids: a quarter of the vocabulary each for keys and values, the rest filler.
 */
export function needle(settings: NeedleSettings = {}): Probe {
  const { vocab_size = 64, context = 128, num_needles = 4 } = settings;
  const quarter = Math.floor(vocab_size / 4);
  checkSetting('needle', 'vocab_size', vocab_size, 8, 2 ** 31);
  checkSetting('needle', 'num_needles', num_needles, 1, quarter);
  const slots = Math.floor((context - num_needles) / 2);
  if (slots < num_needles)
    throw new VitroError(
      `needle: a context of ${context} has no room for ${num_needles} pairs and their questions; it must be at least ${3 * num_needles}`,
    );
  return defineProbe({
    id: 'needle',
    summary: `recall the values of ${num_needles} keys hidden at random depths of filler`,
    paper: 'arXiv:2404.06654',
    settings: { vocab_size, context, num_needles },
    vocab_size,
    context,
    chance: 1 / quarter,
    example(draws, inputs, targets) {
      for (let t = 0; t < context; t++) inputs[t] = 2 * quarter + draws.below(vocab_size - 2 * quarter);
      const keys = draws.distinct(num_needles, quarter);
      const depths = draws.distinct(num_needles, slots);
      const order = draws.distinct(num_needles, num_needles);
      for (let i = 0; i < num_needles; i++) {
        const key = keys[i] as number;
        const value = quarter + draws.below(quarter);
        const question = context - num_needles + (order[i] as number);
        inputs.set([key, value], 2 * (depths[i] as number));
        inputs[question] = key;
        targets[question] = value;
      }
    },
  });
}
