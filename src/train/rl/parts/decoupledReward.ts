import type { RolloutBatch } from '../batch.js';
import type { Advantage, Filter, HostContext } from '../contract.js';
import { deviation, meanOf, totalRewards } from './advantage.js';
import { isRight } from './length.js';
import { redundancyOf, stepDefaults, tokensWithin } from './redundancy.js';

/**
 * Rewards at tokens that tell necessary from redundant ones, and a schedule of easy problems (DECS, Jiang et al. 2025, arXiv:2509.25827).
 * Legend: r reward of a sample, l its tokens, L = max_completion_length, t place of a token in its completion.
 */

/**
 * Reward of sample i at place t: r_i (1 + decs_beta), or r_i + decs_beta (1 - l_i / L) at redundant tokens of right samples. Advantages are normalised over the
 * group at each place; behind its end a sample counts with its first value.
 */
export const decoupledAdvantage: Advantage = {
  name: 'decoupled',
  defaults: { decs_beta: 0.1, ...stepDefaults },
  compute: (batch, { settings, number, tokenizer, metric }) => {
    const r = totalRewards(batch, 0);
    const [beta, most] = [number('decs_beta'), number('max_completion_length')];
    const redundant = new Float64Array(batch.tokens);
    const value = new Float64Array(batch.tokens);
    for (const [n, sample] of batch.samples.entries()) {
      const { start, end } = batch.span(n);
      value.fill((r[n] as number) * (1 + beta), start, end);
      const found = isRight(sample) ? redundancyOf(sample.trajectory.text, settings) : null;
      if (!found) continue;
      const [from, to] = tokensWithin(sample, found, tokenizer);
      redundant.fill(1, start + from, start + to);
      value.fill((r[n] as number) + beta * (1 - (end - start) / most), start + from, start + to);
    }
    batch.columns.redundant = redundant;
    metric('redundant_tokens', meanOf(redundant));
    const out = new Float64Array(batch.tokens);
    for (let g = 0; g < batch.groups; g++) {
      const { start, end } = batch.group(g);
      const spans = Array.from({ length: end - start }, (_, i) => ({
        ...batch.span(start + i),
        rest: (r[start + i] as number) * (1 + beta),
      }));
      const places = Math.max(...spans.map((s) => s.end - s.start));
      for (let t = 0; t < places; t++) {
        const at = spans.map((s) => (s.start + t < s.end ? (value[s.start + t] as number) : s.rest));
        const [mean, s] = [meanOf(at), deviation(at)];
        if (s === 0) continue;
        for (const [i, span] of spans.entries())
          if (span.start + t < span.end) out[span.start + t] = ((at[i] as number) - mean) / (s + 1e-4);
      }
    }
    return out;
  },
};

interface Curriculum {
  /** what was added to decs_kappa so far */
  kappa: number;
  /** mean necessary share of the step before; null before the first */
  last: number | null;
  /** of the samples that were kept in step `step` */
  sum: number;
  count: number;
  step: number;
  /** groups with different rewards since an easy one was last let in */
  mixed: number;
}

/** kappa += decs_kappa_rate (R - R of the step before), R the mean necessary share of the right samples of a step. */
function advance(state: Curriculum, { step, number }: HostContext<Curriculum>): void {
  if (state.step === step) return;
  if (state.count > 0) {
    const share = state.sum / state.count;
    if (state.last !== null) state.kappa += number('decs_kappa_rate') * (share - state.last);
    state.last = share;
  }
  Object.assign(state, { sum: 0, count: 0, step });
}

/** Groups whose rewards are all equal and above 0 teach brevity alone. Of groups that train they are at most the share kappa; failed groups do not train. */
export const easyShare: Filter<Curriculum> = {
  name: 'easy share',
  refill: true,
  defaults: { decs_kappa: 0, decs_kappa_rate: 0.2, ...stepDefaults },
  init: () => ({ kappa: 0, last: null, sum: 0, count: 0, step: -1, mixed: 0 }),
  keep: (batch: RolloutBatch, context) => {
    const { state, settings, number, metric } = context;
    advance(state, context);
    const kappa = Math.min(0.99, number('decs_kappa') + state.kappa);
    metric('decs/kappa', kappa);
    const groups = Array.from({ length: batch.groups }, (_, g) => batch.group(g));
    const own = groups.map(({ start, end }) => batch.rewards.subarray(start, end));
    const mixed = groups.filter((_, g) => own[g]?.some((r) => r !== own[g]?.[0]));
    state.mixed += mixed.length;
    const room = kappa > 0 ? Math.floor((kappa * state.mixed) / (1 - kappa)) : 0;
    if (room > 0) state.mixed = 0;
    const easy = groups.filter((_, g) => own[g]?.every((r) => r === own[g]?.[0] && r > 0)).slice(0, room);
    const kept = [...mixed, ...easy].flatMap(({ start, size }) => Array.from({ length: size }, (_, i) => start + i));
    for (const n of kept) {
      const sample = batch.samples[n];
      const found = sample && isRight(sample) ? redundancyOf(sample.trajectory.text, settings) : null;
      if (!found) continue;
      state.sum += found.necessary;
      state.count++;
      metric('decs/necessary', found.necessary);
    }
    return kept;
  },
};
