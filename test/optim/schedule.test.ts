import { describe, expect, it } from 'vitest';
import { warmupCosine } from '../../src/optim/schedule.js';

describe('warmupCosine', () => {
  const schedule = warmupCosine({ totalSteps: 101, warmupSteps: 10, minRatio: 0.1 });
  it('rises linearly, peaks after the warm-up, and ends at the floor', () => {
    expect([0, 4, 9].map(schedule)).toEqual([0.1, 0.5, 1]);
    expect(schedule(10)).toBe(1);
    expect(schedule(55)).toBeCloseTo(0.55, 12); // half of the cosine lies half-way between 1 and 0.1
    expect(schedule(100)).toBeCloseTo(0.1, 12);
    expect(schedule(500)).toBeCloseTo(0.1, 12);
  });
  it('never rises after the warm-up', () => {
    for (let s = 10; s < 100; s++) expect(schedule(s + 1)).toBeLessThan(schedule(s));
  });
  it('refuses a warm-up that fills the run', () => {
    expect(() => warmupCosine({ totalSteps: 5, warmupSteps: 5, minRatio: 0 })).toThrow(/warmupSteps/);
  });
});
