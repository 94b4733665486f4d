import { describe, expect, it } from 'vitest';
import type { Settings } from '../../src/contracts/index.js';
import { impliedDecay, type Schedule, type ScheduleMethod, type ScheduleSpan, schedules } from '../../src/optim/schedule/index.js';
import { noise } from './support.js';

const span: ScheduleSpan = { totalSteps: 200, warmupSteps: 20 };
const method = (id: string): ScheduleMethod => schedules[id] as ScheduleMethod;
const factors = (schedule: Schedule, { totalSteps } = span): number[] => Array.from({ length: totalSteps }, (_, s) => schedule(s));
const settingsOf = (m: ScheduleMethod, settings: Settings = {}): Settings => ({
  ...m.defaults,
  ...Object.fromEntries(Object.entries(settings).filter(([k]) => Object.hasOwn(m.defaults, k))),
});

/** What a run makes of each step's change: the factor of the rate times what a merge at the end leaves of it. */
function effective(m: ScheduleMethod, settings: Settings = {}, over = span): number[] {
  const full = settingsOf(m, settings);
  const kept = m.merge ? impliedDecay(m.merge(full, over), over.totalSteps) : undefined;
  return factors(m.factor(full, over), over).map((f, s) => f * (kept?.[s] ?? 1));
}

const gap = (a: readonly number[], b: readonly number[]): number => Math.max(...a.map((x, i) => Math.abs(x - (b[i] as number))));

describe.each(Object.values(schedules))('$id', (m) => {
  it('states its family: a known parent and JSON defaults', () => {
    if (m.parent !== undefined) expect(Object.keys(schedules)).toContain(m.parent);
    expect(JSON.parse(JSON.stringify(m.defaults))).toEqual(m.defaults);
    for (const knob of Object.keys(m.knobs ?? {})) expect(Object.keys(m.defaults)).toContain(knob);
    expect(m.seed === undefined).toBe(m.demo === undefined);
  });

  it('rises linearly to the peak, stays within it, and never rises again', () => {
    const f = factors(m.factor(m.defaults, span));
    f.slice(0, 20).forEach((x, s) => {
      expect(x).toBeCloseTo((s + 1) / 20, 12);
    });
    expect(f[20]).toBeGreaterThan(0.9);
    for (let s = 20; s < 200; s++) {
      expect(f[s]).toBeGreaterThanOrEqual(0);
      expect(f[s]).toBeLessThanOrEqual(s === 20 ? 1 : (f[s - 1] as number));
    }
  });

  it('goes without a warm-up and through a run of one step', () => {
    expect(m.factor(m.defaults, { totalSteps: 50, warmupSteps: 0 })(0)).toBeGreaterThan(0.9);
    const one = m.factor(m.defaults, { totalSteps: 1, warmupSteps: 0 })(0);
    expect(one >= 0 && one <= 1).toBe(true);
  });

  it('refuses a warm-up that fills the run', () => {
    expect(() => m.factor(m.defaults, { totalSteps: 5, warmupSteps: 5 })).toThrow(/warmupSteps/);
    expect(() => m.factor(m.defaults, { totalSteps: 5.5, warmupSteps: 0 })).toThrow(/whole/);
  });

  it.each(m.limits.map((l) => [JSON.stringify(l.settings), l] as const))('equals its parent at %s and nowhere else', (_, limit) => {
    const parent = method(m.parent ?? '');
    expect(gap(effective(m, limit.settings), effective(parent, limit.settings))).toBeLessThanOrEqual(limit.tolerance);
    expect(gap(effective(m), effective(parent))).toBeGreaterThan(0.05);
  });
});

describe('linear, cosine, inverse_sqrt', () => {
  it('follow their formulas', () => {
    const linear = method('linear').factor({ min_lr_ratio: 0.1 }, span);
    expect(linear(20 + 179 / 2)).toBeCloseTo(0.55, 12);
    expect(linear(199)).toBeCloseTo(0.1, 12);
    const cosine = method('cosine').factor({ min_lr_ratio: 0.2 }, span);
    expect(cosine(20 + 179 / 3)).toBeCloseTo(0.2 + 0.8 * 0.75, 12);
    const root = method('inverse_sqrt').factor({ timescale: 0 }, span);
    expect(root(20 + 60)).toBeCloseTo(Math.sqrt(20 / 80), 12);
    expect(method('inverse_sqrt').factor({ timescale: 100 }, span)(20 + 300)).toBeCloseTo(0.5, 12);
    expect(method('inverse_sqrt').factor({ timescale: 0 }, { totalSteps: 40000, warmupSteps: 0 })(30000)).toBeCloseTo(0.5, 12);
  });
});

describe('wsd', () => {
  it.each([
    ['linear', 0.5],
    ['cosine', 0.5],
    ['1-sqrt', 1 - Math.SQRT1_2],
  ])('cools down along %s over the last steps alone', (decay_type, middle) => {
    // 39 steps of fall: the 20th stands half-way
    const f = factors(method('wsd').factor({ decay_ratio: 39 / 200, decay_type, min_lr_ratio: 0 }, span));
    expect(f.slice(20, 161).every((x) => x === 1)).toBe(true);
    expect(f[161]).toBeLessThan(1);
    expect(f[180]).toBeCloseTo(middle, 12);
    expect(f[199]).toBeGreaterThan(0);
    expect(factors(method('wsd').factor({ decay_ratio: 39 / 200, decay_type, min_lr_ratio: 0.5 }, span))[180]).toBeCloseTo(
      0.5 + middle / 2,
      12,
    );
  });

  it('names the shapes it knows, and the ratio that is none', () => {
    expect(() => method('wsd').factor({ ...method('wsd').defaults, decay_type: 'sqrt' }, span)).toThrow(/linear, cosine, 1-sqrt/);
    expect(() => method('wsd').factor({ ...method('wsd').defaults, decay_ratio: 2 }, span)).toThrow(/decay_ratio/);
    expect(() => method('wsd').factor({ ...method('wsd').defaults, min_lr_ratio: -1 }, span)).toThrow(/min_lr_ratio/);
  });
});

describe('wsm', () => {
  const merge = (settings: Settings) => {
    const m = method('wsm');
    if (!m.merge) throw new Error('wsm merges');
    return m.merge({ ...m.defaults, ...settings }, span);
  };

  it.each(['linear', 'cosine', '1-sqrt'])('with a checkpoint at every step stands for the %s cool-down of wsd', (decay_type) => {
    const own = effective(method('wsm'), { merge_ratio: 0.3, num_checkpoints: 1000, decay_type, min_lr_ratio: 0.1 });
    const decayed = effective(method('wsd'), { decay_ratio: 0.3, decay_type, min_lr_ratio: 0.1 });
    expect(gap(own, decayed)).toBeLessThan(1e-12);
  });

  it('with few checkpoints stands for stairs below it', () => {
    const own = effective(method('wsm'), { merge_ratio: 0.2, num_checkpoints: 5, decay_type: 'linear' });
    // checkpoints after 160, 170, 180, 190 and 200 steps: a plain mean, four stairs
    expect(
      own
        .slice(159)
        .filter((_, i) => i % 10 === 1)
        .map((x) => Number(x.toFixed(12))),
    ).toEqual([0.8, 0.6, 0.4, 0.2]);
    expect(own[159]).toBeCloseTo(1, 12);
    expect([...merge({ num_checkpoints: 5, decay_type: 'linear' }).weights].map(([s, c]) => [s, Number(c.toFixed(12))])).toEqual(
      [160, 170, 180, 190, 200].map((s) => [s, 0.2]),
    );
  });

  it.each(['linear', 'cosine', '1-sqrt'])(
    'merges a simulated run of given gradients to what the %s decay would have made',
    (decay_type) => {
      // theta_{s+1} = theta_s - eta_s g_s with gradients that do not depend on theta
      const next = noise(4);
      const gradients = Array.from({ length: span.totalSteps }, next);
      const walk = (rates: readonly number[]): number[] => {
        let theta = 0.3;
        return rates.map((rate, s) => {
          theta -= 0.1 * rate * (gradients[s] as number);
          return theta;
        });
      };
      const stayed = walk(factors(method('wsm').factor({}, span)));
      const merged = [...merge({ decay_type, num_checkpoints: 41 }).weights].reduce((n, [s, c]) => n + c * (stayed[s - 1] as number), 0);
      const decayed = walk(factors(method('wsd').factor({ decay_ratio: 0.2, decay_type, min_lr_ratio: 0 }, span))).at(-1) as number;
      expect(merged).toBeCloseTo(decayed, 12);
      expect(Math.abs(merged - (stayed.at(-1) as number))).toBeGreaterThan(1e-3);
    },
  );

  it.each([1, 2, 7, 16, 500])(
    'has weights of %i checkpoints that add up to 1, at whole steps of the run, the last among them',
    (num_checkpoints) => {
      for (const decay_type of ['linear', 'cosine', '1-sqrt'])
        for (const merge_ratio of [0, 0.01, 0.33, 1]) {
          const { weights } = merge({ num_checkpoints, decay_type, merge_ratio });
          expect([...weights.values()].reduce((a, b) => a + b, 0)).toBeCloseTo(1, 12);
          expect([...weights.values()].every((c) => c > 0)).toBe(true);
          expect([...weights.keys()].every((s) => Number.isInteger(s) && s >= 20 && s <= 200)).toBe(true);
          expect(weights.has(200)).toBe(true);
          expect(weights.size).toBeLessThanOrEqual(num_checkpoints);
        }
    },
  );

  it('refuses a merge of nothing', () => {
    expect(() => merge({ num_checkpoints: 0 })).toThrow(/num_checkpoints/);
    expect(() => merge({ merge_ratio: -0.1 })).toThrow(/merge_ratio/);
  });
});
