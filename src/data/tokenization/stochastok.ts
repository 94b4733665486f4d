import { VitroError } from '../../tensor/errors.js';
import type { TokenizationMethod } from './slot.js';
import { splitTable } from './splitTable.js';

/**
 * StochasTok (Sims et al. 2025, arXiv:2506.01687): training sees some tokens as pairs of shorter ones, so that a model learns what its tokens are made of.
 *   floor(expand_prop n) times: draw a place of the sequence as it is by now; if the token there has splits, put one of them in its place, all
 *   splits equally likely
 * Against deterministic: this rewriting after tokenization. Parts may be split again. As every token is equally likely to be drawn wherever it
 * stands, the sequence is kept as a list in order of appearance with links to what follows: constant time for each proposal.
 */
export const stochastok: TokenizationMethod = {
  id: 'stochastok',
  summary: 'some tokens are split at random into pairs of shorter tokens',
  seed: 'P785',
  paper: 'arXiv:2506.01687',
  equation: 'floor(expand_prop n) times: x_i -> (a, b) with bytes(a) bytes(b) = bytes(x_i), i and the pair uniform',
  parent: 'deterministic',
  defaults: { expand_prop: 0.1 },
  knobs: { expand_prop: 'proposals per token; 0 is deterministic' },
  limits: [{ settings: { expand_prop: 0 }, tolerance: 0 }],
  provenance: 'repo',
  assumes: ['drawn anew at every step, where the official code rewrites the data once', 'tokens over 256 bytes are never split'],
  demo: { testbed: 'letters', baseline: 'deterministic', metric: 'val/exact_match', cost: 'tokens', expect: 'gain' },
  create: (tokenizer, settings) => {
    const proportion = Number(settings.expand_prop);
    if (!(proportion >= 0 && proportion <= 100))
      throw new VitroError(`stochastok: expand_prop must be a number from 0 to 100, got ${String(settings.expand_prop)}`);
    if (proportion === 0) return { rewrite: (ids) => ids, growth: 1 };
    const { first, pairs } = splitTable(tokenizer);
    return {
      growth: 1 + proportion,
      rewrite: (ids, uniform) => {
        const proposals = Math.floor(ids.length * proportion);
        const tokens = new Int32Array(ids.length + proposals);
        tokens.set(ids);
        const next = Int32Array.from({ length: ids.length + proposals }, (_, i) => i + 1);
        let count = ids.length;
        for (let p = 0; p < proposals; p++) {
          const i = Math.floor(uniform() * count);
          const id = tokens[i] as number;
          const from = first[id];
          const to = first[id + 1];
          if (from === undefined || to === undefined)
            throw new VitroError(`stochastok: the id ${id} is not in the vocabulary of ${first.length - 1}`);
          if (from === to) continue;
          const pair = from + Math.floor(uniform() * (to - from));
          tokens[i] = pairs[2 * pair] as number;
          tokens[count] = pairs[2 * pair + 1] as number;
          next[count] = next[i] as number;
          next[i] = count++;
        }
        const out = new Int32Array(count);
        for (let i = 0, at = 0; i < count; i++, at = next[at] as number) out[i] = tokens[at] as number;
        return out;
      },
    };
  },
};
