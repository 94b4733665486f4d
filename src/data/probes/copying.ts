import { checkSetting, defineProbe, type Probe } from './probe.js';

/**
 * Copying (Jelassi et al. 2024, arXiv:2402.01032): L random symbols, a separator, and the symbols again, each predicted from what stands before
 * it. Token 0 separates, symbols are 1 ... vocab_size-1. context = 2 L: the last symbol of the copy is a target only.
 */
export function copying(settings: { readonly vocab_size?: number; readonly length?: number } = {}): Probe {
  const { vocab_size = 32, length = 32 } = settings;
  checkSetting('copying', 'vocab_size', vocab_size, 3, 2 ** 31);
  checkSetting('copying', 'length', length, 1, 2 ** 20);
  return defineProbe({
    id: 'copying',
    summary: `repeat ${length} random symbols in order`,
    paper: 'arXiv:2402.01032',
    settings: { vocab_size, length },
    vocab_size,
    context: 2 * length,
    chance: 1 / (vocab_size - 1),
    example(draws, inputs, targets) {
      for (let i = 0; i < length; i++) {
        const symbol = 1 + draws.below(vocab_size - 1);
        inputs[i] = symbol;
        if (i + 1 < length) inputs[length + 1 + i] = symbol;
        targets[length + i] = symbol;
      }
    },
  });
}

/**
 * Selective copying (Gu and Dao 2023, arXiv:2312.00752): num_symbols symbols stand at random places of a text of blanks (token 0) of the given
 * length; then num_symbols markers (token 1) follow, and the target at marker i is the i-th symbol. Symbols are 2 ... vocab_size-1.
 */
export function selectiveCopying(
  settings: { readonly vocab_size?: number; readonly length?: number; readonly num_symbols?: number } = {},
): Probe {
  const { vocab_size = 18, length = 48, num_symbols = 16 } = settings;
  checkSetting('selective-copying', 'vocab_size', vocab_size, 4, 2 ** 31);
  checkSetting('selective-copying', 'length', length, 1, 2 ** 20);
  checkSetting('selective-copying', 'num_symbols', num_symbols, 1, length);
  return defineProbe({
    id: 'selective-copying',
    summary: `repeat the ${num_symbols} symbols among ${length - num_symbols} blanks in order`,
    paper: 'arXiv:2312.00752',
    settings: { vocab_size, length, num_symbols },
    vocab_size,
    context: length + num_symbols,
    chance: 1 / (vocab_size - 2),
    example(draws, inputs, targets) {
      const places = draws.distinct(num_symbols, length).sort((a, b) => a - b);
      for (const [i, place] of places.entries()) {
        const symbol = 2 + draws.below(vocab_size - 2);
        inputs[place] = symbol;
        inputs[length + i] = 1;
        targets[length + i] = symbol;
      }
    },
  });
}
