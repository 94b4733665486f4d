import { mul, neg } from '../../../tensor/ops/elementwise.js';
import type { RolloutBatch } from '../batch.js';
import type { Advantage, HostContext, MinibatchView, StageResult, Surrogate } from '../contract.js';

/**
 * Discriminative learning with lengths that only right answers compare (Li et al. 2025, arXiv:2510.04474). Legend: s_i mean log-probability of a token of
 * sample i, l_i its length, L = max_completion_length.
 */

/**
 * In groups with right and wrong answers: w_i / sum w over the right ones, w = exp((1 - l / L) / drpo_lambda), and -1 / (number of wrong ones) for each of those;
 * 0 elsewhere. The column `drpo_group` numbers the groups.
 */
export const decoupledAdvantage: Advantage = {
  name: 'decoupled',
  defaults: { drpo_lambda: 0.1, right_above: 0.5 },
  compute: (batch: RolloutBatch, context) => {
    const [lambda, longest] = [context.number('drpo_lambda'), context.number('max_completion_length')];
    const threshold = context.number('right_above');
    batch.columns.drpo_group = batch.spread(batch.perGroup((_, g) => g));
    return batch.perGroup((rewards, g) => {
      const { start } = batch.group(g);
      const right = rewards.map((r) => (r > threshold ? 1 : 0));
      const wrong = right.reduce((n, r) => n + 1 - r, 0);
      const weight = right.map((r, i) => r * Math.exp((1 - (batch.lengths[start + i] as number) / longest) / lambda));
      const total = weight.reduce((a, b) => a + b, 0);
      if (wrong === 0 || total === 0) return 0;
      return weight.map((w, i) => (right[i] === 1 ? w / total : -1 / wrong));
    });
  },
};

interface SampleTokens {
  readonly group: number;
  readonly advantage: number;
  readonly tokens: number[];
}

/** Tokens of a minibatch by sample. */
function samplesOf(view: MinibatchView): SampleTokens[] {
  const groups = view.column('drpo_group');
  const samples = new Map<number, SampleTokens>();
  for (const [k, n] of view.sample.entries()) {
    const known = samples.get(n);
    if (known) known.tokens.push(k);
    else samples.set(n, { group: groups[k] as number, advantage: view.advantage[k] as number, tokens: [k] });
  }
  return [...samples.values()];
}

/**
 * The slope of the objective by the log-probability of every token, for a mean over samples of means over tokens. The objective is the mean over groups of
 *   sum_right w_i s_i / sum_right w_i - tau log mean_wrong exp(s_j / tau),   less beta max(KL - delta, 0) KL
 * of which the last factor alone has a gradient; KL = mean over tokens of log pi_old - log pi.
 */
function slopes(view: MinibatchView, context: HostContext): StageResult {
  const samples = samplesOf(view);
  const tau = context.number('drpo_tau');
  const out = new Float64Array(view.logp.length);
  const kl = view.logp.reduce((sum, x, k) => sum + (view.old_logp[k] as number) - x, 0) / Math.max(1, view.logp.length);
  const held = context.number('drpo_kl_coef') * Math.max(0, kl - context.number('drpo_delta'));
  context.metric('drpo/kl', kl);
  const groups = new Map<number, SampleTokens[]>();
  for (const s of samples) groups.set(s.group, [...(groups.get(s.group) ?? []), s]);
  for (const own of groups.values()) {
    const right = own.filter((s) => s.advantage > 0);
    const wrong = own.filter((s) => s.advantage < 0);
    const score = ({ tokens }: SampleTokens): number => tokens.reduce((sum, k) => sum + (view.logp[k] as number), 0) / tokens.length;
    const highest = Math.max(...wrong.map(score));
    const share = (s: SampleTokens): number => (s.advantage > 0 ? s.advantage : Math.exp((score(s) - highest) / tau));
    const [rights, wrongs] = [right, wrong].map((list) => list.reduce((sum, s) => sum + share(s), 0)) as [number, number];
    for (const s of own) {
      const credit =
        right.length === 0 || wrong.length === 0 || s.advantage === 0 ? 0 : s.advantage > 0 ? share(s) / rights : -share(s) / wrongs;
      const back = (held * samples.length * s.tokens.length) / view.logp.length;
      for (const k of s.tokens) out[k] = own.length * credit + back;
    }
  }
  return { columns: { drpo_slope: out } };
}

/** -slope log pi, the slopes from a host stage. */
export const discriminative: Surrogate = {
  name: 'discriminative',
  defaults: { drpo_tau: 10, drpo_kl_coef: 1e3, drpo_delta: 1e-4 },
  stage: slopes,
  loss: ({ policy, column }) => ({ loss: neg(mul(column('drpo_slope'), policy.logp)) }),
};
