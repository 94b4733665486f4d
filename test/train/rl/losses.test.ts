import { describe, expect, it } from 'vitest';
import type { Settings } from '../../../src/contracts/index.js';
import { aggregates } from '../../../src/train/rl/parts/aggregate.js';
import { clipCovariance, klCovariance, tokenCovariance } from '../../../src/train/rl/parts/covariance.js';
import { both, entropyBonus, klPenalty, noPenalty } from '../../../src/train/rl/parts/penalty.js';
import { clippedWeight, geometricMean, policyGradient, ppoClip, sequenceClip } from '../../../src/train/rl/parts/surrogate.js';
import { runTokenLoss, type TokenCase, tokenCase } from './graph.js';
import { hostOf, recipeOf } from './support.js';

interface Token {
  readonly logp: number;
  readonly old: number;
  readonly ref: number;
  readonly A: number;
  readonly column: (name: string) => number;
}
type Sequence = readonly Token[];

/** The losses of a sequence's tokens in plain arithmetic. `held`: the tokens at which stop-gradients are evaluated. */
type Loop = (s: Sequence, settings: Readonly<Record<string, number>>, held: Sequence) => number[];

const ratio = ({ logp, old }: Token): number => Math.exp(logp - old);
const clamp = (x: number, low: number, high: number): number => Math.min(Math.max(x, low), high);
const high = (s: Readonly<Record<string, number>>): number => 1 + ((s.epsilon_high as number) || (s.epsilon as number));
const ppo = (t: Token, rho: number, s: Readonly<Record<string, number>>): number =>
  -Math.min(rho * t.A, clamp(rho, 1 - (s.epsilon as number), high(s)) * t.A);

const loops: Readonly<Record<string, Loop>> = {
  'policy-gradient': (s) => s.map((t) => -t.A * t.logp),
  'ppo-clip': (s, k) =>
    s.map((t) => {
      const rho = ratio(t);
      const bounded = (k.delta as number) > 0 ? Math.min(rho, k.delta as number) : rho;
      return Math.max(-bounded * t.A, -clamp(rho, 1 - (k.epsilon as number), high(k)) * t.A);
    }),
  'sequence-clip': (s, k) => {
    const rho = Math.exp(s.reduce((a, t) => a + t.logp - t.old, 0) / s.length);
    return s.map((t) => ppo(t, rho, k));
  },
  'clipped-weight': (s, k, held) => s.map((t, i) => -Math.min(ratio(held[i] as Token), 1 + (k.epsilon_high as number)) * t.A * t.logp),
  'geometric-mean': (s, k) => {
    const e = k.epsilon as number;
    const product = s.reduce((p, t) => p * (t.A > 0 ? Math.min(ratio(t), Math.exp(e)) : Math.max(ratio(t), Math.exp(-e))), 1);
    return s.map((t) => -t.A * product ** (1 / s.length));
  },
  'clip-cov': (s, k) => s.map((t) => ppo(t, ratio(t), k) * t.column('cov_keep')),
  'kl-cov': (s, k) => s.map((t) => -t.A * ratio(t) + (k.kl_cov_coef as number) * Math.abs(t.logp - t.old) * t.column('cov_selected')),
  k1: (s, k) => s.map((t) => (k.beta as number) * (t.logp - t.ref)),
  k2: (s, k) => s.map((t) => ((k.beta as number) * (t.logp - t.ref) ** 2) / 2),
  k3: (s, k) => s.map((t) => (k.beta as number) * (Math.exp(t.ref - t.logp) - (t.ref - t.logp) - 1)),
};

const sequencesOf = (c: TokenCase): Sequence[] =>
  c.mask.map((row, b) =>
    row.flatMap((m, t) =>
      m === 0
        ? []
        : [
            {
              logp: c.logp[b]?.[t] as number,
              old: c.old[b]?.[t] as number,
              ref: c.reference[b]?.[t] as number,
              A: c.advantage[b]?.[t] as number,
              column: (name: string) => c.columns[name]?.[b]?.[t] as number,
            },
          ],
    ),
  );

const shifted = (c: TokenCase, b: number, t: number, by: number): TokenCase => ({
  ...c,
  logp: c.logp.map((row, i) => row.map((x, j) => (i === b && j === t ? x + by : x))),
});

/** Compares losses and the gradient of their weighted sum with a loop and its central differences. */
async function compare(
  part: { loss: typeof ppoClip.loss; defaults?: Settings },
  loop: Loop,
  settings: Settings = {},
  c = tokenCase(),
): Promise<void> {
  const full = { ...part.defaults, ...settings };
  const numbers = full as Readonly<Record<string, number>>;
  const got = await runTokenLoss((context) => part.loss(context), c, full);
  const here = sequencesOf(c);
  const total = (at: TokenCase): number =>
    sequencesOf(at).reduce(
      (sum, s, b) => sum + loop(s, numbers, here[b] as Sequence).reduce((a, x, t) => a + x * (c.weight[b]?.[t] as number), 0),
      0,
    );
  expect(got.total).toBeCloseTo(total(c), 6);
  for (const [b, s] of here.entries()) {
    const want = loop(s, numbers, s);
    for (const [t, w] of want.entries()) {
      expect(got.losses[b]?.[t]).toBeCloseTo(w, 5);
      const h = 1e-4;
      const slope = (total(shifted(c, b, t, h)) - total(shifted(c, b, t, -h))) / (2 * h);
      expect(got.slope[b]?.[t]).toBeCloseTo(slope, 4);
    }
  }
  for (const x of Object.values(got.metrics)) expect(Number.isFinite(x)).toBe(true);
}

describe('surrogates against plain loops, with gradients by differences', () => {
  it.each([
    ['policy-gradient', policyGradient, {}],
    ['ppo-clip', ppoClip, {}],
    ['ppo-clip', ppoClip, { epsilon: 0.1, epsilon_high: 0.4, delta: 1.2 }],
    ['sequence-clip', sequenceClip, {}],
    ['sequence-clip', sequenceClip, { epsilon: 0.5, epsilon_high: 0.6 }],
    ['clipped-weight', clippedWeight, { epsilon_high: 0.3 }],
    ['geometric-mean', geometricMean, { epsilon: 0.3 }],
    ['clip-cov', clipCovariance, {}],
    ['kl-cov', klCovariance, {}],
  ] as const)('%s', (name, part, settings) => compare(part, loops[name] as Loop, settings));

  it('clip shares count the tokens that the clip holds back', async () => {
    const c = tokenCase();
    const { metrics } = await runTokenLoss((x) => ppoClip.loss(x), c, { ...ppoClip.defaults });
    const tokens = sequencesOf(c).flat();
    const share = (f: (t: Token) => boolean): number => tokens.filter(f).length / tokens.length;
    expect(metrics['clip_ratio/low_mean']).toBeCloseTo(
      share((t) => ratio(t) < 0.8 && t.A < 0),
      6,
    );
    expect(metrics['clip_ratio/high_mean']).toBeCloseTo(
      share((t) => ratio(t) > 1.2 && t.A > 0),
      6,
    );
    expect(metrics['clip_ratio/region_mean']).toBeGreaterThan(0);
  });
});

describe('penalties', () => {
  it.each(['k1', 'k2', 'k3'])('%s', (kl_loss_type) => compare(klPenalty, loops[kl_loss_type] as Loop, { beta: 0.3, kl_loss_type }));

  it('k3 is never negative, and k1 and k3 agree with the KL of two distributions on average', () => {
    const [p, q] = [
      [0.5, 0.3, 0.2],
      [0.2, 0.2, 0.6],
    ];
    const kl = p.reduce((s, x, i) => s + x * Math.log(x / (q[i] as number)), 0);
    const average = (name: string): number =>
      p.reduce((s, x, i) => {
        const token = { logp: Math.log(x), ref: Math.log(q[i] as number) } as Token;
        const [value] = (loops[name] as Loop)([token], { beta: 1 }, [token]);
        return s + x * (value as number);
      }, 0);
    expect(average('k1')).toBeCloseTo(kl, 10);
    expect(average('k3')).toBeCloseTo(kl, 10);
  });

  it('an unknown estimate and an inactive penalty', async () => {
    await expect(runTokenLoss((x) => klPenalty.loss(x), tokenCase(), { beta: 1, kl_loss_type: 'k9' })).rejects.toThrow(/k1, k2, k3.*k9/);
    expect(klPenalty.active?.({ beta: 0 })).toBe(false);
    expect(noPenalty.active?.({})).toBe(false);
    const sum = both(klPenalty, entropyBonus);
    expect(sum.active?.({ beta: 0 })).toBe(true);
    const c = tokenCase();
    const got = await runTokenLoss((x) => sum.loss(x), c, { beta: 0.5, kl_loss_type: 'k2', entropy_coef: 0.1 });
    // the test's policy has the entropy -logp
    const [t] = sequencesOf(c)[0] as [Token];
    expect(got.losses[0]?.[0]).toBeCloseTo(0.25 * (t.logp - t.ref) ** 2 + 0.1 * t.logp, 5);
  });
});

describe('aggregates', () => {
  const lengths = Float64Array.of(3, 1, 4, 0, 2);
  const losses = [[1, 2, 3], [4], [5, 6, 7, 8], [], [9, 10]];
  const total = (name: string): number => {
    const weights = aggregates[name]?.weights(lengths, { max_completion_length: 8 }) as Float64Array;
    return losses.reduce((s, own, i) => s + own.reduce((a, x) => a + x * (weights[i] as number), 0), 0);
  };
  const sums = losses.map((own) => own.reduce((a, b) => a + b, 0));
  it.each([
    ['token-mean', 55 / 10],
    ['seq-mean-token-mean', sums.reduce((s, x, i) => s + x / Math.max(1, losses[i]?.length ?? 1), 0) / 5],
    ['seq-mean-token-sum', 55 / 5],
    ['seq-mean-token-sum-norm', 55 / (5 * 8)],
  ])('%s', (name, want) => expect(total(name)).toBeCloseTo(want, 12));

  it('seq-mean-token-sum-norm asks for the length that it divides by', () => {
    expect(() => aggregates['seq-mean-token-sum-norm']?.weights(lengths, {})).toThrow(/max_completion_length/);
  });
});

describe('host stages', () => {
  const view = () => {
    const logp = Float64Array.of(-0.1, -2, -0.5, -3, -1);
    const advantage = Float64Array.of(2, -1, 1, 3, -2);
    return { logp, old_logp: logp, advantage, sample: new Int32Array(5), column: () => new Float64Array(5) };
  };

  it('covariance of log-probability and advantage', () => {
    const { logp, advantage } = view();
    const [m, a] = [-6.6 / 5, 3 / 5];
    expect([...tokenCovariance(view())].map((x) => x.toFixed(9))).toEqual(
      [...logp].map((x, k) => ((x - m) * ((advantage[k] as number) - a)).toFixed(9)),
    );
  });

  it('kl_cov selects the tokens of the highest covariance, clip_cov drops some between its bounds', () => {
    const host = hostOf(recipeOf('kl_cov'), [], { kl_cov_ratio: 0.4 });
    const chosen = klCovariance.stage?.(view(), host.context('surrogate', klCovariance))?.columns?.cov_selected as Float64Array;
    const order = [...tokenCovariance(view()).entries()].sort((x, y) => y[1] - x[1]).map(([k]) => k);
    expect([...chosen.entries()].filter(([, x]) => x === 1).map(([k]) => k)).toEqual([...order.slice(0, 2)].sort());
    const clip = hostOf(recipeOf('clip_cov'), [], { clip_cov_ratio: 0.2, clip_cov_lb: 0.5, clip_cov_ub: 3 });
    const keep = clipCovariance.stage?.(view(), clip.context('surrogate', clipCovariance))?.columns?.cov_keep as Float64Array;
    const dropped = [...keep.entries()].filter(([, x]) => x === 0).map(([k]) => k);
    expect(dropped).toHaveLength(1);
    for (const k of dropped) {
      const c = tokenCovariance(view())[k] as number;
      expect(c > 0.5 && c < 3).toBe(true);
    }
  });
});
