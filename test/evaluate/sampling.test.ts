import { describe, expect, it } from 'vitest';
import {
  avgAtNScores,
  compareSampling,
  cotPassAtKScores,
  type ItemSamples,
  majAtNScores,
  majorityVote,
  passAtK,
  passAtKScores,
  samplingReport,
} from '../../src/evaluate/sampling.js';

/** All choices of k places out of n. */
function choices(n: number, k: number, from = 0): number[][] {
  if (k === 0) return [[]];
  return Array.from({ length: n - from }, (_, i) => from + i).flatMap((first) =>
    choices(n, k - 1, first + 1).map((rest) => [first, ...rest]),
  );
}

const samples = (text: string): ItemSamples => [...text].map((c) => ({ answer: c === '-' ? null : c, correct: c === 'r' || c === 's' }));

describe('pass@k', () => {
  it('is the share of all k-subsets of the samples that hold a right one', () => {
    for (const n of [1, 4, 7])
      for (let c = 0; c <= n; c++)
        for (let k = 1; k <= n; k++) {
          const subsets = choices(n, k);
          const share = subsets.filter((s) => s.some((i) => i < c)).length / subsets.length;
          expect(passAtK(n, c, k)).toBeCloseTo(share, 12);
        }
  });

  it('is stable for many samples, and refuses what cannot be estimated', () => {
    expect(passAtK(10_000, 1, 100)).toBeCloseTo(0.01, 12);
    expect(passAtK(10_000, 10_000, 1)).toBe(1);
    expect(passAtK(5, 2, 4)).toBe(1);
    expect(() => passAtK(4, 1, 5)).toThrow(/k 5; sample at least k/);
    expect(() => passAtK(4, 5, 1)).toThrow(/c 5/);
    expect(() => passAtK(4, 1.5, 1)).toThrow(/integers/);
  });

  it('is unbiased: its mean over draws of n samples is 1 - (1-p)^k', () => {
    const [n, p, k] = [6, 0.3, 3];
    let mean = 0;
    for (let mask = 0; mask < 2 ** n; mask++) {
      const c = [...mask.toString(2)].filter((b) => b === '1').length;
      mean += p ** c * (1 - p) ** (n - c) * passAtK(n, c, k);
    }
    expect(mean).toBeCloseTo(1 - (1 - p) ** k, 12);
  });

  it('counts right samples by item', () => {
    expect(passAtKScores([samples('rab'), samples('abc'), samples('rrs')], 1)).toEqual([expect.closeTo(1 / 3, 12), 0, 1]);
    expect(avgAtNScores([samples('rab-')])).toEqual([0.25]);
  });
});

describe('CoT-pass@k', () => {
  const judged = (rows: [boolean, boolean][]): ItemSamples =>
    rows.map(([correct, chainCorrect]) => ({ answer: 'a', correct, chainCorrect }));

  it('counts samples whose answer and chain are both right', () => {
    const item = judged([
      [true, true],
      [true, false],
      [false, true],
      [false, false],
    ]);
    expect(cotPassAtKScores([item], 1)).toEqual([0.25]);
    expect(cotPassAtKScores([item], 2)[0]).toBeCloseTo(passAtK(4, 1, 2), 12);
    expect(passAtKScores([item], 1)).toEqual([0.5]);
    expect(() => cotPassAtKScores([samples('ra')], 1)).toThrow(/not judged step by step/);
  });
});

describe('maj@n', () => {
  it.each([
    ['rra', 1, 1],
    ['raa', 0, 1],
    ['ra', 0.5, 2],
    ['rsab', 0.5, 4],
    ['rrab', 1, 1],
    ['r--', 1, 1],
    ['--', 0, 0],
  ])('of %s is %f with %i leaders', (text, score, leaders) => {
    expect(majorityVote(samples(text)).score).toBe(score);
    expect(majorityVote(samples(text)).leaders).toHaveLength(leaders);
    expect(majAtNScores([samples(text)])).toEqual([score]);
  });

  it('refuses an answer that is judged both ways', () => {
    const item = [
      { answer: '7', correct: true },
      { answer: '7', correct: false },
    ];
    expect(() => majorityVote(item)).toThrow(/"7" is judged both right and wrong/);
  });
});

describe('samplingReport', () => {
  const items = ['rrab', 'abcd', 'rrrr', 'ra--', 'saab', 'rsra'].map(samples);

  it('means the items’ scores, with intervals that hold them, under the usual names', () => {
    const { metrics, tied } = samplingReport(items, [1, 2]);
    expect(Object.keys(metrics)).toEqual(['pass@1', 'pass@2', 'avg@4', 'maj@4']);
    expect(metrics['pass@1']?.value).toBeCloseTo(metrics['avg@4']?.value ?? Number.NaN, 12);
    expect(metrics['maj@4']?.value).toBeCloseTo((1 + 0 + 1 + 0.5 + 0 + 1) / 6, 12);
    expect(tied).toBeCloseTo(2 / 6, 12);
    for (const { value, low, high } of Object.values(metrics)) {
      expect(low).toBeLessThan(value);
      expect(high).toBeGreaterThan(value);
    }
    expect(samplingReport(items, [1])).toEqual(samplingReport(items, [1]));
    expect(() => samplingReport([], [1])).toThrow(/at least one/);
    expect(() => samplingReport([samples('ra'), samples('r')], [1])).toThrow(/same number of samples/);
  });

  it('compares item by item: what all items gain shows without spread', () => {
    const better = ['rrrb', 'rbcd', 'rrrr', 'rr--', 'ssab', 'rsrr'].map(samples);
    const difference = compareSampling(items, better, [1])['pass@1'];
    expect(difference?.value).toBeCloseTo(5 / 6 / 4, 12);
    expect(difference?.low).toBeGreaterThan(0);
    expect(compareSampling(items, items, [1])['pass@1']).toEqual({ value: 0, low: 0, high: 0 });
  });
});
