import { describe, expect, it } from 'vitest';
import { lookUp, nearestName, UsageError } from '../../src/lab/names.js';

describe('names', () => {
  it.each([
    ['muno', 'muon'],
    ['AdamW', 'adamw'],
    ['shakespear', 'shakespeare'],
    ['sgd', undefined],
  ])('suggests for %s: %s', (typed, near) => {
    expect(nearestName(typed, ['adam', 'adamw', 'mezo', 'muon', 'shakespeare'])).toBe(near);
  });
  it('looks own keys up only and lists what is known', () => {
    expect(lookUp('method', 'a', { a: 1 })).toBe(1);
    expect(() => lookUp('method', 'constructor', { a: 1 })).toThrow(UsageError);
    expect(() => lookUp('method', 'muno', { muon: 1, adamw: 2 })).toThrow(
      'unknown method "muno"; did you mean "muon"? Known: adamw, muon.',
    );
  });
});
