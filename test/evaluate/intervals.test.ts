import { describe, expect, it } from 'vitest';
import { bayesAtN } from '../../src/evaluate/bayes.js';
import { bootstrap, bootstrapMean, normalQuantile, pairedBootstrap, wilson } from '../../src/evaluate/bootstrap.js';
import { brierScore, calibration, expectedCalibrationError, type Forecast, reliability } from '../../src/evaluate/calibration.js';

/** A small generator of its own, so that simulations do not share the code under test. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48271) % 2147483647;
    return state / 2147483647;
  };
}

describe('bootstrap', () => {
  it('gives the exact distribution of resampled means on a tiny sample', () => {
    // of {0, 1} twice drawn: means 0, 1/2, 1 with probabilities 1/4, 1/2, 1/4
    const counts = new Map<number, number>();
    bootstrap(
      [0, 1],
      (items) => {
        const mean = ((items[0] as number) + (items[1] as number)) / 2;
        counts.set(mean, (counts.get(mean) ?? 0) + 1);
        return mean;
      },
      { resamples: 4000 },
    );
    expect((counts.get(0) ?? 0) / 4000).toBeCloseTo(0.25, 1);
    expect((counts.get(0.5) ?? 0) / 4000).toBeCloseTo(0.5, 1);
  });

  it('is as wide as the normal interval on many items, and covers as it says', () => {
    const uniform = generator(7);
    let covered = 0;
    for (let run = 0; run < 200; run++) {
      const { low, high } = bootstrapMean(
        Array.from({ length: 60 }, () => uniform() ** 2),
        { seed: run, resamples: 300 },
      );
      if (low < 1 / 3 && high > 1 / 3) covered++;
    }
    expect(covered / 200).toBeGreaterThan(0.89);
    expect(covered / 200).toBeLessThan(0.985);
    const values = Array.from({ length: 400 }, uniform);
    const { value, low, high } = bootstrapMean(values, { resamples: 4000 });
    const sd = Math.sqrt(values.reduce((s, x) => s + (x - value) ** 2, 0) / values.length);
    expect((high - low) / ((2 * 1.959964 * sd) / 20)).toBeCloseTo(1, 1);
  });

  it('cancels what pairs have in common', () => {
    const baseline = [0.1, 0.9, 0.4, 0.7, 0.2];
    const gains = [0.1, 0.12, 0.08, 0.1, 0.11];
    const paired = pairedBootstrap(
      baseline,
      baseline.map((x, i) => x + (gains[i] as number)),
    );
    expect(paired.value).toBeCloseTo(0.102, 12);
    expect(paired.low).toBeGreaterThan(0.08);
    expect(() => pairedBootstrap([1], [1, 2])).toThrow(/do not pair up/);
    expect(bootstrapMean([3]).low).toBeNaN();
    expect(() => bootstrapMean([])).toThrow(/at least one/);
    expect(() => bootstrapMean([1, 2], { confidence: 95 })).toThrow(/between 0 and 1/);
  });
});

describe('wilson', () => {
  it('has the ends at which the score test is just not rejected', () => {
    for (const [successes, n] of [
      [0, 10],
      [3, 10],
      [50, 80],
      [20, 20],
    ] as const) {
      const { value, low, high } = wilson(successes, n);
      for (const end of [low, high])
        if (end > 0 && end < 1) expect(Math.abs(value - end) / Math.sqrt((end * (1 - end)) / n)).toBeCloseTo(1.959964, 5);
    }
    expect(wilson(0, 10).low).toBe(0);
    expect(wilson(0, 10).high).toBeCloseTo(0.2775, 4);
    expect(normalQuantile(0.975)).toBeCloseTo(1.959964, 6);
    expect(() => wilson(3, 2)).toThrow(/3 of 2/);
  });
});

describe('Bayes@N', () => {
  const outcomes = [
    [0, 1, 2, 2, 1],
    [1, 1, 0, 2, 2],
  ];
  const weights = [0, 0.5, 1];

  it('gives the figures of the authors’ documentation', () => {
    const prior = [
      [0, 2],
      [1, 2],
    ];
    expect(bayesAtN(outcomes, { weights, prior }).mean).toBeCloseTo(0.575, 6);
    expect(bayesAtN(outcomes, { weights, prior }).sd).toBeCloseTo(0.084275, 6);
    expect(bayesAtN(outcomes, { weights }).mean).toBeCloseTo(0.5625, 6);
    expect(bayesAtN(outcomes, { weights }).sd).toBeCloseTo(0.091998, 6);
  });

  it('has the moments of the Dirichlet posterior, by sampling it', () => {
    const uniform = generator(11);
    // Gamma(k) for integer k as a sum of exponentials
    const gamma = (k: number): number => -Math.log(Array.from({ length: k }, uniform).reduce((a, b) => a * b, 1));
    const draws = Array.from({ length: 20_000 }, () => {
      const scores = outcomes.map((row) => {
        const parts = weights.map((_, k) => gamma(1 + row.filter((r) => r === k).length));
        const total = parts.reduce((a, b) => a + b, 0);
        return parts.reduce((sum, g, k) => sum + ((weights[k] as number) * g) / total, 0);
      });
      return scores.reduce((a, b) => a + b, 0) / scores.length;
    });
    const mean = draws.reduce((a, b) => a + b, 0) / draws.length;
    const sd = Math.sqrt(draws.reduce((s, x) => s + (x - mean) ** 2, 0) / draws.length);
    const estimate = bayesAtN(outcomes, { weights });
    expect(estimate.mean).toBeCloseTo(mean, 2);
    expect(estimate.sd / sd).toBeCloseTo(1, 1);
    const inside = draws.filter((x) => x > estimate.low && x < estimate.high).length / draws.length;
    expect(inside).toBeGreaterThan(0.94);
    expect(inside).toBeLessThan(0.965);
  });

  it('is Laplace’s rule of succession for right and wrong', () => {
    const { mean, sd } = bayesAtN([[1, 1, 0, 1]]);
    // Beta(4, 2)
    expect(mean).toBeCloseTo(4 / 6, 12);
    expect(sd).toBeCloseTo(Math.sqrt((4 * 2) / (36 * 7)), 12);
    expect(bayesAtN([[]]).mean).toBe(0.5);
    expect(bayesAtN([[1]], { credibility: 0.99 }).high).toBe(1);
  });

  it('refuses what is no outcome', () => {
    expect(() => bayesAtN([[0, 2]])).toThrow(/outcome 2 of item 0 must be a category from 0 to 1/);
    expect(() => bayesAtN([[0], [0, 1]])).toThrow(/item 1 has 2 outcomes and item 0 has 1/);
    expect(() => bayesAtN([])).toThrow(/at least one/);
  });
});

describe('calibration', () => {
  const forecasts: Forecast[] = [
    { confidence: 0, correct: false },
    { confidence: 0.1, correct: true },
    { confidence: 0.35, correct: false },
    { confidence: 0.4, correct: true },
    { confidence: 1, correct: true },
    { confidence: 0.95, correct: false },
  ];

  it('puts forecasts into bins that are closed above', () => {
    expect(reliability(forecasts).map((b) => b.count)).toEqual([2, 0, 0, 2, 0, 0, 0, 0, 0, 2]);
  });

  it('gives ECE and Brier score as written out by hand', () => {
    const ece = (2 / 6) * Math.abs(0.5 - 0.05) + (2 / 6) * Math.abs(0.5 - 0.375) + (2 / 6) * Math.abs(0.5 - 0.975);
    expect(expectedCalibrationError(forecasts)).toBeCloseTo(ece, 12);
    const brier = (0 + 0.9 ** 2 + 0.35 ** 2 + 0.6 ** 2 + 0 + 0.95 ** 2) / 6;
    expect(brierScore(forecasts)).toBeCloseTo(brier, 12);
    expect(expectedCalibrationError(forecasts, 1)).toBeCloseTo(Math.abs(0.5 - 2.8 / 6), 12);
  });

  it('tells a forecaster who is right as often as he says from one who is not', () => {
    const uniform = generator(5);
    const honest = Array.from({ length: 2000 }, () => {
      const confidence = uniform();
      return { confidence, correct: uniform() < confidence };
    });
    const boastful = honest.map(({ confidence, correct }) => ({ confidence: Math.sqrt(confidence), correct }));
    const [a, b] = [calibration(honest, { resamples: 200 }), calibration(boastful, { resamples: 200 })];
    expect(a.ece.high).toBeLessThan(0.07);
    // E|sqrt(u) - u| = 1/6
    expect(b.ece.low).toBeLessThan(1 / 6);
    expect(b.ece.high).toBeGreaterThan(1 / 6);
    // E[u(1-u)] = 1/6
    expect(a.brier.low).toBeLessThan(1 / 6);
    expect(a.brier.high).toBeGreaterThan(1 / 6);
    expect(b.brier.low).toBeGreaterThan(a.brier.value);
    expect(() => brierScore([{ confidence: 1.2, correct: true }])).toThrow(/confidence 1.2 of item 0/);
    expect(() => brierScore([])).toThrow(/at least one/);
  });
});
