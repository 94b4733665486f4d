import type { RolloutBatch } from '../batch.js';
import type { Advantage, HostContext } from '../contract.js';

/** Credit that depends on the entropy with which tokens were drawn. Legend: H entropy at a token in nats, A advantage, K tokens. */

/** Advantages of a part at all tokens [K]. */
export function tokenCredit(inner: Advantage, batch: RolloutBatch, context: HostContext): Float64Array {
  const credit = inner.compute(batch, context.of(inner));
  return credit.length === batch.tokens ? credit.slice() : batch.spread(credit);
}

/** What a wrapper takes over of the part that it holds: everything, with a context of its own for `prepare`. */
const held = (inner: Advantage): Advantage => ({ ...inner, prepare: async (batch, context) => inner.prepare?.(batch, context.of(inner)) });

/** Calls f with the numbers of the tokens that train, sample by sample. */
function bySample(batch: RolloutBatch, f: (tokens: readonly number[], n: number) => void): void {
  for (let n = 0; n < batch.size; n++) {
    const { start, end } = batch.span(n);
    const own: number[] = [];
    for (let k = start; k < end; k++) if (batch.actions[k] === 1) own.push(k);
    if (own.length > 0) f(own, n);
  }
}

/** Number of tokens in a share of them: at least one, unless the share is 0. */
const countOf = (share: number, tokens: number): number => (share > 0 ? Math.max(1, Math.floor(share * tokens)) : 0);

/**
 * Within a sample, tokens of the lowest entropies lose their advantage, and those of the highest gain min(eg_limit |A|, eg_coef H / log V) (Song et al. 2026,
 * arXiv:2604.02355): the eg_low_share lowest and the eg_high_share highest, V the size of the vocabulary.
 */
export const withEntropyGate = (inner: Advantage): Advantage => ({
  ...held(inner),
  name: `${inner.name}+entropy-gate`,
  defaults: { ...inner.defaults, eg_low_share: 0.2, eg_high_share: 0.5, eg_coef: 0.3, eg_limit: 0.3 },
  compute: (batch, context) => {
    const out = tokenCredit(inner, batch, context);
    const [low, high] = [context.number('eg_low_share'), context.number('eg_high_share')];
    const [coef, limit] = [context.number('eg_coef'), context.number('eg_limit')];
    const scale = Math.log(context.tokenizer.vocab_size);
    let gated = 0;
    bySample(batch, (tokens) => {
      const entropies = tokens.map((k) => batch.entropy[k] as number);
      const sorted = [...entropies].sort((a, b) => a - b);
      const last = sorted.length - 1;
      const lowest = sorted[Math.min(last, countOf(low, sorted.length))] as number;
      const highest = sorted[Math.max(0, sorted.length - countOf(high, sorted.length))] ?? Number.POSITIVE_INFINITY;
      for (const [i, k] of tokens.entries()) {
        const [h, a] = [entropies[i] as number, out[k] as number];
        if (h > highest) out[k] = a + Math.min(limit * Math.abs(a), (coef * h) / scale);
        if (h < lowest) {
          out[k] = 0;
          gated++;
        }
      }
    });
    context.metric('eg/gated_mean', gated / Math.max(1, batch.tokens));
    return out;
  },
});

/**
 * Groups whose rewards are all equal get zvp_alpha H where they are right and -zvp_alpha (max_k H_k - H) where they are wrong, the maximum over the tokens of the
 * sample (Le et al. 2025, arXiv:2509.21880, equation 5); others keep the advantage of the inner part.
 */
export const withZeroVariance = (inner: Advantage): Advantage => ({
  ...held(inner),
  name: `${inner.name}+zero-variance`,
  defaults: { ...inner.defaults, zvp_alpha: 0.1, right_above: 0.5 },
  compute: (batch, context) => {
    const out = tokenCredit(inner, batch, context);
    const [alpha, threshold] = [context.number('zvp_alpha'), context.number('right_above')];
    const equal = batch.perGroup((rewards) => (rewards.every((r) => r === rewards[0]) ? 1 : 0));
    bySample(batch, (tokens, n) => {
      if (equal[n] !== 1 || alpha === 0) return;
      const most = Math.max(...tokens.map((k) => batch.entropy[k] as number));
      const right = (batch.rewards[n] as number) > threshold;
      for (const k of tokens) out[k] = alpha * (right ? (batch.entropy[k] as number) : (batch.entropy[k] as number) - most);
    });
    return out;
  },
});
