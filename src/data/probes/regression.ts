import { VitroError } from '../../tensor/errors.js';
import { checkSetting, defineProbe, type Probe } from './probe.js';

/** The middle of bin i of n equal bins of [-1, 1]. */
export const binCentre = (i: number, n: number): number => (2 * i + 1) / n - 1;

/** The bin of a number in [-1, 1]. */
export const binOf = (x: number, n: number): number => Math.min(n - 1, Math.max(0, Math.floor(((x + 1) / 2) * n)));

export interface RegressionSettings {
  /** size d of each x */
  readonly dimension?: number;
  /** bins of [-1, 1] for x, and as many for y */
  readonly bins?: number;
  readonly num_examples?: number;
}

/**
 * In-context linear regression (Garg et al. 2022, arXiv:2208.01066), discretised so that a decoder is trained unmodified. Each row has its own
 * w in [-1, 1]^d and c in [-1, 1], uniform. An example is d tokens x_1 ... x_d and one token y: x_j is the centre of a uniformly drawn one of
 * `bins` equal bins of [-1, 1] (token = bin), y = (w·x + c) / (d + 1) lies in [-1, 1] and is given by its bin (token = bins + bin). The target at
 * the last token of each x is the token of y, from example d + 2 on: before it, the function is not determined.
 * Accuracy is exact equality of bins. As y is only known to a bin, its limit is below 1.
 */
export function regression(settings: RegressionSettings = {}): Probe {
  const { dimension = 1, bins = 16, num_examples = 32 } = settings;
  checkSetting('regression', 'dimension', dimension, 1, 64);
  checkSetting('regression', 'bins', bins, 2, 2 ** 15);
  if (!(Number.isInteger(num_examples) && num_examples >= dimension + 2))
    throw new VitroError(
      `regression: ${num_examples} examples determine no function of ${dimension} inputs; at least ${dimension + 2} are needed`,
    );
  const stride = dimension + 1;
  return defineProbe({
    id: 'regression',
    summary: `predict a linear function of ${dimension} input(s) from examples, to one of ${bins} bins`,
    paper: 'arXiv:2208.01066',
    settings: { dimension, bins, num_examples },
    vocab_size: 2 * bins,
    context: num_examples * stride,
    chance: 1 / bins,
    example(draws, inputs, targets) {
      const w = Array.from({ length: dimension }, () => 2 * draws.unit() - 1);
      const c = 2 * draws.unit() - 1;
      for (let i = 0; i < num_examples; i++) {
        let sum = c;
        for (let j = 0; j < dimension; j++) {
          const bin = draws.below(bins);
          inputs[i * stride + j] = bin;
          sum += (w[j] as number) * binCentre(bin, bins);
        }
        const y = bins + binOf(sum / stride, bins);
        inputs[i * stride + dimension] = y;
        if (i > dimension) targets[i * stride + dimension - 1] = y;
      }
    },
  });
}
