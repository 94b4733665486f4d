import { describe, expect, it } from 'vitest';
import type { Settings } from '../../../src/contracts/index.js';
import type { Surrogate } from '../../../src/train/rl/contract.js';
import { balancedBounds, positiveShare } from '../../../src/train/rl/parts/adaptiveClip.js';
import { behaviourPenalty, clippedReinforce, shiftedBaseline } from '../../../src/train/rl/parts/offPolicy.js';
import { secondMomentMask } from '../../../src/train/rl/parts/secondMoment.js';
import { runTokenLoss, type TokenCase, tokenCase } from './graph.js';
import { batchOf, contextOf, hostOf, mixedBatch, numbers, recipeOf } from './support.js';

/** Tokens as host stages see them, some with advantage 0. */
function tokens(count: number, seed: number, drift = 1.2) {
  const next = numbers(seed);
  const logp = Float64Array.from({ length: count }, () => -0.1 - 2 * next());
  const old_logp = logp.map((x) => x - drift * (2 * next() - 1));
  const advantage = Float64Array.from({ length: count }, (_, k) => (k % 5 === 0 ? 0 : 2 * next() - 1.4));
  return { logp, old_logp, advantage };
}

describe('BAPO', () => {
  const view = tokens(60, 5);

  /** |PPO's clipped objective| at a token with the probability at which it was drawn, in plain arithmetic. */
  const size = (k: number, low: number, high: number): number => {
    const [rho, a] = [Math.exp((view.logp[k] as number) - (view.old_logp[k] as number)), view.advantage[k] as number];
    const clipped = Math.min(Math.max(rho, low), high);
    return Math.exp(view.old_logp[k] as number) * Math.abs(Math.min(rho * a, clipped * a));
  };
  const share = (low: number, high: number): number => {
    const all = [...view.advantage.keys()];
    const sum = (own: number[], at: number): number => own.reduce((s, k) => s + size(k, at, high), 0);
    return (
      sum(
        all.filter((k) => (view.advantage[k] as number) > 0),
        0,
      ) / sum(all, low)
    );
  };

  it('the share of positive tokens is that of the clipped objective', () => {
    for (const [low, high] of [
      [0.6, 1.2],
      [0.9, 3],
      [0.75, 1.9],
    ] as const)
      expect(positiveShare(view, low, high)).toBeCloseTo(share(low, high), 12);
    expect(positiveShare({ ...view, advantage: new Float64Array(60) }, 0.8, 1.2)).toBe(1);
  });

  it('takes the first bounds on the way up that reach the target: first the upper one to its end, then the lower one', () => {
    const [low, high] = [
      { start: 0.6, end: 0.9, step: 0.1 },
      { start: 1.2, end: 2, step: 0.4 },
    ];
    const way = [
      [0.6, 1.2],
      [0.6, 1.6],
      [0.6, 2],
      [0.7, 2],
      [0.8, 2],
      [0.9, 2],
    ] as const;
    const shares = way.map(([a, b]) => share(a, b));
    expect(shares[1]).toBeGreaterThan(shares[0] as number);
    expect(shares[2]).toBeGreaterThan(shares[1] as number);
    for (const target of [0, ...shares.map((s) => s - 1e-9), 1]) {
      const want = way[shares.findIndex((s) => s >= target)] ?? ([0.9, 2] as const);
      const got = balancedBounds(view, low, high, target);
      expect(got.low).toBeCloseTo(want[0], 12);
      expect(got.high).toBeCloseTo(want[1], 12);
    }
  });

  it('hands the bounds to PPO’s clip as knobs', () => {
    const { slots } = recipeOf('grpo+bapo');
    const host = hostOf(recipeOf('bapo'), [], { positive_share: 1 });
    const { surrogate } = slots;
    const made = surrogate.stage?.(
      { ...view, sample: new Int32Array(60), column: () => new Float64Array(60) },
      host.context('surrogate', surrogate),
    );
    expect(made?.knobs?.epsilon).toBeCloseTo(0.1, 12);
    expect(made?.knobs?.epsilon_high).toBeCloseTo(2, 12);
    expect(host.takeMetrics()['bapo/clip_high']).toBe(3);
  });
});

describe('M2PO', () => {
  it.each([0, 0.01, 0.04, 0.2, 5])('at %s the mask is that of the paper’s loop', (threshold) => {
    for (const seed of [3, 4, 5]) {
      const view = tokens(50, seed);
      const log = [...view.logp].map((x, k) => x - (view.old_logp[k] as number));
      const active = (k: number): boolean => {
        const [rho, a] = [Math.exp(log[k] as number), view.advantage[k] as number];
        return (a > 0 && rho > 1) || (a < 0 && rho < 1);
      };
      let trusted = [...log.keys()].filter(active);
      const mask = log.map(() => 1);
      const square = (k: number): number => (log[k] as number) ** 2;
      while (trusted.length > 0 && trusted.reduce((s, k) => s + square(k), 0) / trusted.length > threshold) {
        const worst = trusted.reduce((i, j) => (square(j) > square(i) ? j : i));
        mask[worst] = 0;
        trusted = trusted.filter((k) => k !== worst);
      }
      expect([...secondMomentMask(view, threshold)]).toEqual(mask);
    }
  });
});

/** Token by token in plain arithmetic: loss and slope by the token's log-probability. */
type Plain = (at: { rho: number; log: number; logp: number; A: number }, s: Record<string, number>) => [number, number];

async function compare(
  part: Pick<Surrogate, 'loss' | 'defaults'>,
  plain: Plain,
  settings: Settings,
  c: TokenCase = tokenCase({ drift: 1.6 }),
) {
  const full = { ...part.defaults, ...settings };
  const got = await runTokenLoss((context) => part.loss(context), c, full);
  for (const [b, row] of c.mask.entries())
    for (const [t, m] of row.entries()) {
      if (m === 0) continue;
      const [logp, old] = [c.logp[b]?.[t] as number, c.old[b]?.[t] as number];
      const at = { logp, log: logp - old, rho: Math.exp(logp - old), A: c.advantage[b]?.[t] as number };
      const [loss, slope] = plain(at, full as unknown as Record<string, number>);
      expect(got.losses[b]?.[t]).toBeCloseTo(loss, 5);
      expect(got.slope[b]?.[t]).toBeCloseTo(slope * (c.weight[b]?.[t] as number), 5);
    }
}

describe('group-relative REINFORCE off policy', () => {
  const within = (rho: number, low: number, high: number): boolean => rho >= 1 - low && rho <= 1 + high;
  const rec =
    (keeps: (rho: number, A: number) => boolean, weight: (rho: number, A: number) => number = () => 1): Plain =>
    ({ rho, logp, A }) =>
      keeps(rho, A) ? [-weight(rho, A) * A * logp, -weight(rho, A) * A] : [0, 0];
  const oneSide = (low: number, high: number) => (rho: number, A: number) => (A > 0 ? rho <= 1 + high : rho >= 1 - low);

  it.each([
    ['one-side', {}, rec(oneSide(0.6, 2))],
    ['one-side with weights', { importance_weight: true, epsilon: 0.2, epsilon_high: 0.3 }, rec(oneSide(0.2, 0.3), (rho) => rho)],
    ['two-side', { clip_mode: 'two-side', epsilon: 0.3, epsilon_high: 0.5 }, rec((rho) => within(rho, 0.3, 0.5))],
    [
      'ring',
      { clip_mode: 'ring', epsilon: 0.2, epsilon_high: 0.2, ring_epsilon: 0.5, ring_epsilon_high: 1 },
      rec((rho, A) => within(rho, 0.2, 0.2) || (A > 0 && rho <= 0.5) || (A < 0 && rho >= 2)),
    ],
    ['none', { clip_mode: 'none' }, rec(() => true)],
    [
      'RED-Weight',
      { clip_mode: 'none', red_temperature: 0.7 },
      rec(
        () => true,
        (_, A) => Math.exp(A / 0.7),
      ),
    ],
  ] as const)('%s', (_, settings, plain) => compare(clippedReinforce, plain, settings));

  it('names the clip modes', async () => {
    const wrong = runTokenLoss((c) => clippedReinforce.loss(c), tokenCase(), { ...clippedReinforce.defaults, clip_mode: 'both' });
    await expect(wrong).rejects.toThrow(/one-side, two-side, ring.*both/);
  });

  it('is one gradient step on the pairwise loss of the derivation, whatever policy drew the samples (section 2)', async () => {
    const rewards = [1, 0, 0.25, 0.5];
    const [K, tau] = [rewards.length, 0.7];
    const batch = batchOf(rewards.map((reward) => ({ group: 'a', reward, length: 1 })));
    const { slots } = recipeOf('rec');
    const credit = [...slots.advantage.compute(batch, contextOf('advantage', recipeOf('rec')))];
    const c = tokenCase({ lengths: [1, 1, 1, 1], drift: 1 });
    const given = { ...c, advantage: credit.map((a) => [a]), weight: credit.map(() => [1 / K]) };
    const { slope } = await runTokenLoss((context) => clippedReinforce.loss(context), given, {
      ...clippedReinforce.defaults,
      clip_mode: 'none',
    });
    // the pairwise loss by the log-probabilities of the samples, at the current policy
    const pairwise = (shift: readonly number[]): number => {
      const a = rewards.map((r, i) => r - tau * (shift[i] as number));
      return a.reduce((s, x, i) => s + a.slice(i + 1).reduce((p, y) => p + (x - y) ** 2, 0), 0) / K ** 2;
    };
    for (let i = 0; i < K; i++) {
      const at = (h: number): number => pairwise(rewards.map((_, j) => (j === i ? h : 0)));
      const derivative = (at(1e-5) - at(-1e-5)) / 2e-5;
      expect(derivative / (2 * tau)).toBeCloseTo(slope[i]?.[0] as number, 5);
    }
  });

  it('OPMD adds tau (log rho)^2', () =>
    compare(behaviourPenalty, ({ log }, s) => [(s.opmd_tau as number) * log ** 2, 2 * (s.opmd_tau as number) * log], { opmd_tau: 0.3 }));

  it('asymmetric REINFORCE is REINFORCE plus -delta_v of the likelihood', () => {
    const batch = mixedBatch();
    const [low, mean] = [-0.1, 0].map((delta_v) => shiftedBaseline.compute(batch, contextOf('advantage', recipeOf('asymre'), { delta_v })));
    const of = (group: string): number[] => [...batch.samples.keys()].filter((n) => batch.samples[n]?.group === group);
    for (const group of ['a', 'b', 'c']) {
      const own = of(group);
      const average = own.reduce((s, n) => s + (batch.rewards[n] as number), 0) / own.length;
      for (const n of own) {
        expect(mean?.[n]).toBeCloseTo((batch.rewards[n] as number) - average, 12);
        expect((low?.[n] as number) - (mean?.[n] as number)).toBeCloseTo(0.1, 12);
      }
    }
  });
});
