import { describe, expect, it } from 'vitest';
import type { MinibatchView, StageResult } from '../../../src/train/rl/contract.js';
import { alphaDivergence } from '../../../src/train/rl/parts/alphaDivergence.js';
import { decoupledAdvantage, discriminative } from '../../../src/train/rl/parts/decoupled.js';
import { randomPolicyValue } from '../../../src/train/rl/parts/randomPolicyValue.js';
import { runTokenLoss, tokenCase } from './graph.js';
import { batchOf, contextOf, hostOf, numbers, recipeOf } from './support.js';

describe('alpha-DPG', () => {
  /** Four answers, two of them right; a group in which each stands as often as the policy says makes sums over it exact expectations. */
  const counts = [5, 3, 4, 8];
  const m = 20;
  const reference = [0.4, 0.1, 0.3, 0.2];
  const rights = [1, 1, 0, 0];
  const target = [0.8, 0.2, 0, 0];
  const policy = counts.map((c) => c / m);

  /** sum_y p(y) f(pi / p), f(t) = (t^a - a t - (1 - a)) / (a (a - 1)); answers outside of the target add the slope of f at infinity. */
  const divergence = (pi: readonly number[], a: number): number =>
    pi.reduce((sum, x, y) => {
      const p = target[y] as number;
      if (p === 0) return sum + x / (1 - a);
      const t = x / p;
      return sum + (p * (t ** a - a * t - (1 - a))) / (a * (a - 1));
    }, 0);

  it.each([0.2, 0.5, 0.9])('at alpha %s the advantages are the slope of the divergence to the filtered policy', (alpha) => {
    const answers = counts.flatMap((c, y) => Array.from({ length: c }, () => y));
    const batch = batchOf(answers.map((y) => ({ group: 'a', reward: rights[y] as number, length: 1 })));
    batch.old_logp = Float64Array.from(answers, (y) => Math.log(policy[y] as number));
    batch.reference_logp = Float64Array.from(answers, (y) => Math.log(reference[y] as number));
    const credit = alphaDivergence.compute(batch, contextOf('advantage', recipeOf('alpha-dpg'), { dpg_alpha: alpha, dpg_clip: 1e9 }));
    const softmax = (logits: readonly number[]): number[] => {
      const w = logits.map((x, y) => (policy[y] as number) * Math.exp(x));
      const total = w.reduce((x, y) => x + y, 0);
      return w.map((x) => x / total);
    };
    for (const y of counts.keys()) {
      const at = (h: number): number => divergence(softmax(counts.map((_, j) => (j === y ? h : 0))), alpha);
      // mean of A times the slope of log pi by the logit of y; leave-one-out baselines stretch it by m / (m - 1)
      const ascent = answers.reduce((s, a, i) => s + (credit[i] as number) * ((a === y ? 1 : 0) - (policy[y] as number)), 0) / m;
      expect((ascent * (m - 1)) / m).toBeCloseTo((-(1 - alpha) * (at(1e-5) - at(-1e-5))) / 2e-5, 7);
    }
  });

  it('groups without a right answer teach nothing, and large pseudo-rewards are clipped', () => {
    const wrong = batchOf([0, 0, 0].map((reward) => ({ group: 'a', reward, length: 2 })));
    wrong.reference_logp = wrong.old_logp.slice();
    expect([...alphaDivergence.compute(wrong, contextOf('advantage', recipeOf('alpha-dpg')))]).toEqual([0, 0, 0]);
    const rare = batchOf([1, 0].map((reward) => ({ group: 'a', reward, length: 1 })));
    rare.reference_logp = rare.old_logp.map((x, k) => (k === 0 ? x + 30 : x));
    expect([...alphaDivergence.compute(rare, contextOf('advantage', recipeOf('alpha-dpg')))]).toEqual([11, -11]);
  });

  it('refuses alpha 1 and a missing reference', () => {
    const batch = batchOf([1, 0].map((reward) => ({ group: 'a', reward, length: 1 })));
    expect(() => alphaDivergence.compute(batch, contextOf('advantage', recipeOf('alpha-dpg'), { dpg_alpha: 1 }))).toThrow(/below 1, got 1/);
    expect(() => alphaDivergence.compute(batch, contextOf('advantage', recipeOf('alpha-dpg')))).toThrow(/reference/);
  });
});

describe('DRPO', () => {
  const lengths = [3, 6, 2, 5, 4, 2, 3, 4];
  const rewards = [1, 1, 0, 0, 0, 1, 1, 1];
  const groups = 'aaaabbcc';
  const settings = { drpo_lambda: 0.5, drpo_tau: 0.7, drpo_kl_coef: 3, drpo_delta: 0.05, max_completion_length: 8 };
  const batch = batchOf(rewards.map((reward, i) => ({ group: groups[i] as string, reward, length: lengths[i] as number })));
  const recipe = recipeOf('drpo', settings);
  const credit = batch.spread(decoupledAdvantage.compute(batch, contextOf('advantage', recipe)));
  const owner = lengths.flatMap((l, n) => Array.from({ length: l }, () => n));
  const next = numbers(3);
  const logp = Float64Array.from(owner, () => -0.2 - 2 * next());
  const old = logp.map((x) => x + 0.6 * next());

  it('weighs right answers by shortness among themselves', () => {
    const weight = [0, 1].map((n) => Math.exp((1 - (lengths[n] as number) / 8) / 0.5));
    const total = (weight[0] as number) + (weight[1] as number);
    const first = (n: number): number => credit[batch.span(n).start] as number;
    expect(first(0)).toBeCloseTo((weight[0] as number) / total, 12);
    expect(first(1)).toBeCloseTo((weight[1] as number) / total, 12);
    expect([first(2), first(3), first(6), first(7)]).toEqual([-0.5, -0.5, 0, 0]);
  });

  it('has the slopes of its objective at every token', async () => {
    const view: MinibatchView = {
      logp,
      old_logp: old,
      advantage: credit,
      sample: Int32Array.from(owner),
      column: (name) => batch.columns[name] as Float64Array,
    };
    const stage = discriminative.stage?.(view, hostOf(recipe).context('surrogate', discriminative)) as StageResult;
    const slope = stage.columns?.drpo_slope as Float64Array;
    const klAt = (x: Float64Array): number => x.reduce((s, v, k) => s + (old[k] as number) - v, 0) / x.length;
    const held = settings.drpo_kl_coef * Math.max(0, klAt(logp) - settings.drpo_delta);
    expect(held).toBeGreaterThan(0.1);
    const objective = (x: Float64Array): number => {
      const score = lengths.map((l, n) => owner.reduce((s, m, k) => s + (m === n ? (x[k] as number) : 0), 0) / l);
      let total = 0;
      for (const g of ['a', 'b', 'c']) {
        const own = [...groups].flatMap((name, n) => (name === g ? [n] : []));
        const [right, wrong] = [own.filter((n) => rewards[n] === 1), own.filter((n) => rewards[n] === 0)];
        if (right.length === 0 || wrong.length === 0) continue;
        const w = right.map((n) => Math.exp((1 - (lengths[n] as number) / 8) / settings.drpo_lambda));
        const W = w.reduce((a, b) => a + b, 0);
        const mean = right.reduce((s, n, i) => s + ((w[i] as number) * (score[n] as number)) / W, 0);
        const others = wrong.reduce((s, n) => s + Math.exp((score[n] as number) / settings.drpo_tau), 0) / wrong.length;
        total += (own.length / lengths.length) * (mean - settings.drpo_tau * Math.log(others));
      }
      return total - held * klAt(x);
    };
    for (const [k, n] of owner.entries()) {
      const at = (h: number): number => objective(logp.map((x, j) => (j === k ? x + h : x)));
      // the aggregate is the mean over samples of means over tokens
      const got = (slope[k] as number) / (lengths.length * (lengths[n] as number));
      expect(got).toBeCloseTo((at(1e-5) - at(-1e-5)) / 2e-5, 8);
    }
  });
});

describe('ROVER', () => {
  it('is the squared Bellman error of the uniformly random policy, with gradients through the value alone', async () => {
    const lengths = [3, 1, 4, 2];
    const given = tokenCase({ lengths });
    const settings = { rover_rho: 0.8 };
    const got = await runTokenLoss((context) => randomPolicyValue.loss(context), given, settings);
    // the test's policies: the drawn token has the log-probability, three others share the rest
    const table = (logp: number): number[] => [logp, ...[0.6, 0.3, 0.1].map((s) => Math.log(s * (1 - Math.exp(logp))))];
    for (const [b, l] of lengths.entries())
      for (let t = 0; t < l; t++) {
        const [now, old] = [given.logp[b] as number[], given.old[b] as number[]];
        const value = 0.8 * ((now[t] as number) - (old[t] as number));
        let next = 0;
        if (t + 1 < l) {
          const [p, q] = [table(now[t + 1] as number), table(old[t + 1] as number)];
          next = p.reduce((s, x, a) => s + 0.8 * (x - (q[a] as number)), 0) / 4;
        }
        const off = value - ((given.advantage[b]?.[t] as number) + next);
        expect(got.losses[b]?.[t]).toBeCloseTo(off * off, 5);
        expect(got.slope[b]?.[t]).toBeCloseTo((given.weight[b]?.[t] as number) * 2 * off * 0.8, 5);
      }
  });
});
