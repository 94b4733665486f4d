import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  estimate,
  holm,
  mean,
  minimumDetectableEffect,
  pairedDifference,
  pairedPower,
  standardDeviation,
  verdict,
} from '../../src/evaluate/statistics.js';

describe('estimate', () => {
  // t(0.975) from the printed tables of Student's distribution
  it.each([
    [2, 12.706],
    [3, 4.303],
    [5, 2.776],
    [10, 2.262],
    [31, 2.042],
  ])('uses the tabulated quantile for n = %i', (n, t) => {
    const values = Array.from({ length: n }, (_, i) => Math.sin(i * 7.3));
    const e = estimate(values);
    expect((e.high - e.mean) / (e.sd / Math.sqrt(n))).toBeCloseTo(t, 3);
    expect(e.mean - e.low).toBeCloseTo(e.high - e.mean, 12);
  });

  it('gives the closed form on a small sample', () => {
    const e = estimate([1, 2, 3, 4, 5]);
    expect(e.mean).toBe(3);
    expect(e.sd).toBeCloseTo(Math.sqrt(2.5), 12);
    expect(e.high).toBeCloseTo(3 + 2.7764451 * Math.sqrt(0.5), 6);
  });

  it('has no interval for one observation and refuses none or a diverged run', () => {
    expect(estimate([2]).low).toBeNaN();
    expect(() => mean([])).toThrow(/at least one/);
    expect(() => estimate([1, Number.NaN])).toThrow(/value 1 is NaN/);
  });

  it('covers the true mean in about 95% of samples of three normals', () => {
    let seed = 1;
    const uniform = (): number => {
      seed = (seed * 48271) % 2147483647;
      return seed / 2147483647;
    };
    const normal = (): number => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
    let covered = 0;
    for (let i = 0; i < 4000; i++) {
      const e = estimate([normal(), normal(), normal()]);
      if (e.low < 0 && e.high > 0) covered++;
    }
    expect(covered / 4000).toBeGreaterThan(0.935);
    expect(covered / 4000).toBeLessThan(0.965);
  });
});

describe('pairedDifference', () => {
  // Student's sleep data (1908), the usual textbook example: t = 4.0621, p = 0.002833, interval of the difference [0.70, 2.46]
  const drug1 = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0];
  const drug2 = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4];

  it("reproduces Student's sleep data", () => {
    const d = pairedDifference(drug1, drug2);
    expect(d.mean).toBeCloseTo(1.58, 10);
    expect(d.low).toBeCloseTo(0.7001142, 6);
    expect(d.high).toBeCloseTo(2.4598858, 6);
    expect(d.p).toBeCloseTo(0.00283289, 7);
  });

  it('is antisymmetric and invariant under a shift shared by both', () => {
    const values = fc.array(fc.tuple(fc.double({ min: -9, max: 9, noNaN: true }), fc.double({ min: -9, max: 9, noNaN: true })), {
      minLength: 2,
      maxLength: 8,
    });
    fc.assert(
      fc.property(values, fc.double({ min: -5, max: 5, noNaN: true }), (pairs, shift) => {
        const a = pairs.map(([x]) => x);
        const b = pairs.map(([, y]) => y);
        const forward = pairedDifference(a, b);
        const backward = pairedDifference(b, a);
        expect(forward.mean).toBeCloseTo(-backward.mean, 9);
        expect(forward.low).toBeCloseTo(-backward.high, 9);
        const shifted = pairedDifference(
          a.map((x) => x + shift),
          b.map((x) => x + shift),
        );
        expect(shifted.mean).toBeCloseTo(forward.mean, 9);
        expect(shifted.high).toBeCloseTo(forward.high, 6);
      }),
      { numRuns: 30 },
    );
  });

  it('refuses lists that do not pair up', () => {
    expect(() => pairedDifference([1, 2], [1])).toThrow(/do not pair up/);
  });
});

describe('verdict', () => {
  const of = (differences: number[], better: 'lower' | 'higher' = 'lower', margin = 0.02) =>
    verdict(
      pairedDifference(
        differences.map(() => 0),
        differences,
      ),
      { margin, better },
    );
  it('names the four outcomes', () => {
    expect(of([-0.1, -0.11, -0.09])).toBe('gain');
    expect(of([-0.1, -0.11, -0.09], 'higher')).toBe('loss');
    expect(of([0.1, 0.11, 0.09])).toBe('loss');
    expect(of([-0.1, 0.1, 0.02])).toBe('inconclusive');
    expect(of([0.001, -0.001, 0])).toBe('equivalent');
  });
  it('calls a real but tiny difference equivalent, and the same difference a gain when the margin is smaller', () => {
    const tiny = [-0.005, -0.0051, -0.0049];
    expect(of(tiny)).toBe('equivalent');
    expect(of(tiny, 'lower', 0.001)).toBe('gain');
  });
  it('never decides on one pair', () => {
    expect(of([-5])).toBe('inconclusive');
  });
  it('judges by a corrected p-value where one is given', () => {
    const d = pairedDifference([0, 0, 0], [-0.1, -0.14, -0.09]);
    expect(d.p).toBeLessThan(0.05);
    expect(verdict(d, { margin: 0.02, better: 'lower', p: 0.06 })).toBe('inconclusive');
  });
});

describe('holm', () => {
  it('reproduces a worked example', () => {
    // p = .01 .04 .03 .005 -> sorted .005*4 .01*3 .03*2 .04*1, made monotone
    expect(holm([0.01, 0.04, 0.03, 0.005]).map((p) => Number(p.toFixed(10)))).toEqual([0.03, 0.06, 0.06, 0.02]);
  });
  it('leaves one comparison alone and skips tests that could not be done', () => {
    expect(holm([0.04])).toEqual([0.04]);
    expect(holm([Number.NaN, 0.04])).toEqual([Number.NaN, 0.04]);
  });
  it('lies between the raw and the Bonferroni value', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 1, maxLength: 9 }), (ps) => {
        holm(ps).forEach((adjusted, i) => {
          const p = ps[i] as number;
          expect(adjusted).toBeGreaterThanOrEqual(p);
          expect(adjusted).toBeLessThanOrEqual(Math.min(1, p * ps.length) + 1e-15);
        });
      }),
    );
  });
});

describe('power', () => {
  // G*Power 3.1, paired t test, two-sided alpha 0.05, dz = 0.5: n = 34 is the smallest n with power 0.8 (0.8078)
  it('agrees with published power figures', () => {
    expect(pairedPower(0.5, 1, 34)).toBeCloseTo(0.8078, 3);
    expect(minimumDetectableEffect(1, 34)).toBeLessThan(0.5);
    expect(minimumDetectableEffect(1, 33)).toBeGreaterThan(0.5);
  });
  it('equals alpha for no effect and scales with the spread', () => {
    expect(pairedPower(0, 1, 10)).toBeCloseTo(0.05, 8);
    expect(minimumDetectableEffect(2, 5)).toBeCloseTo(2 * minimumDetectableEffect(1, 5), 8);
    expect(minimumDetectableEffect(0, 5)).toBe(0);
  });
  it('uses n - 1 in the standard deviation', () => {
    expect(standardDeviation([1, 3])).toBeCloseTo(Math.SQRT2, 12);
  });
});
