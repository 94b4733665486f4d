import type { TokenizationMethod } from './slot.js';

/** The tokenizer's own sequence, always. The root of the slot. */
export const deterministic: TokenizationMethod = {
  id: 'deterministic',
  summary: "the tokenizer's own sequence",
  paper: 'Sennrich et al. 2016, arXiv:1508.07909',
  equation: 'ids = encode(text)',
  defaults: {},
  limits: [],
  provenance: 'paper',
  assumes: [],
  create: () => ({ rewrite: (ids) => ids, growth: 1 }),
};
