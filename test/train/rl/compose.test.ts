import { describe, expect, it } from 'vitest';
import { also, chainOf, composeRl, wrap } from '../../../src/train/rl/compose.js';
import type { Auxiliary } from '../../../src/train/rl/contract.js';
import { baseSlots, commonSettings } from '../../../src/train/rl/defaults.js';
import { rlMethods } from '../../../src/train/rl/methods/index.js';
import type { RlMethod } from '../../../src/train/rl/methods/slot.js';
import { recipeNeeds } from '../../../src/train/rl/needs.js';
import { onePass } from '../../../src/train/rl/parts/update.js';
import { recipeOf } from './support.js';

const made = (id: string, more: Partial<RlMethod>): RlMethod => ({
  ...(rlMethods['token-mean'] as RlMethod),
  id,
  defaults: {},
  slots: {},
  ...more,
});
const rehearsal = (name: string): Auxiliary => ({ name, sequences: () => [] });
const methods = {
  ...rlMethods,
  wrapper: made('wrapper', { slots: { surrogate: wrap((inner) => ({ ...inner, name: `half ${inner.name}` })) } }),
  left: made('left', { slots: { auxiliary: also(rehearsal('left')) } }),
  right: made('right', { slots: { auxiliary: also(rehearsal('right')) } }),
  child: made('child', { parent: 'opo', slots: { update: onePass } }),
};
const compose = (spec: string, settings = {}) => composeRl(spec, { methods, base: baseSlots, common: commonSettings, settings });

describe('composition of recipes', () => {
  it('grpo is what its ancestors and its own patch make', () => {
    const { slots, settings, applied } = recipeOf('grpo');
    expect(applied).toEqual(['reinforce', 'ppo', 'grpo']);
    expect([slots.advantage.name, slots.surrogate.name, slots.aggregate.name, slots.penalty.name]).toEqual([
      'group-norm',
      'ppo-clip',
      'seq-mean-token-mean',
      'kl',
    ]);
    expect(slots.learners).toEqual([]);
    expect(settings).toMatchObject({ epsilon: 0.2, epsilon_high: 0, beta: 0.04, num_iterations: 1, temperature: 1, num_generations: 8 });
    expect(settings).not.toHaveProperty('vf_coef');
  });

  it('patches apply in order, and settings of the user come last', () => {
    const recipe = recipeOf('grpo+clip-higher+token-mean', { epsilon: 0.1 });
    expect(recipe.slots.aggregate.name).toBe('token-mean');
    expect(recipe.settings).toMatchObject({ epsilon: 0.1, epsilon_high: 0.28 });
  });

  it('dapo is grpo with its four changes', () => {
    const [whole, parts] = [recipeOf('dapo'), recipeOf('grpo+clip-higher+token-mean+dynamic-sampling+overlong-shaping', { beta: 0 })];
    expect(whole.settings).toEqual(parts.settings);
    for (const slot of Object.keys(whole.slots) as (keyof typeof whole.slots)[])
      expect([slot, [whole.slots[slot]].flat().map((p) => p.name)]).toEqual([slot, [parts.slots[slot]].flat().map((p) => p.name)]);
  });

  it('what the first method brought may be replaced, what a patch brought may not', () => {
    expect(recipeOf('grpo+opo').slots.advantage.name).toBe('length-weighted-baseline');
    expect(() => recipeOf('grpo+opo+token-mean')).toThrow(/opo and token-mean clash.*aggregate/);
    expect(() => recipeOf('grpo+dynamic-sampling+dynamic-sampling')).toThrow(/there already/);
  });

  it('a patch whose settings nothing reads any more clashes with the one that took the reader away', () => {
    expect(() => recipeOf('grpo+opo+clip-higher')).toThrow(/clip-higher clashes: it sets epsilon_high.*opo replaced.*surrogate/);
  });

  it('a wrapper builds on a patch of the same slot, and lists grow', () => {
    expect(compose('grpo+opo+wrapper').slots.surrogate.name).toBe('half policy-gradient');
    expect(compose('grpo+left+right').slots.auxiliary.map((a) => a.name)).toEqual(['left', 'right']);
    expect(() => compose('grpo+wrapper+opo')).toThrow(/wrapper and opo clash/);
  });

  it('a patch brings its ancestors up to the nearest recipe', () => {
    expect(compose('rloo+child').applied).toEqual(['reinforce', 'rloo', 'opo', 'child']);
    expect(compose('gspo+opo').slots.surrogate.name).toBe('policy-gradient');
    expect(chainOf('child', methods).map((m) => m.id)).toEqual(['reinforce', 'ppo', 'grpo', 'opo', 'child']);
  });

  it('unknown methods and settings are named, with what is near', () => {
    expect(() => recipeOf('gpro')).toThrow(/no rl method gpro; did you mean grpo/);
    expect(() => recipeOf('grpo', { epsilom: 1 })).toThrow(/epsilom.*did you mean epsilon/);
    expect(() => recipeOf('grpo+opo', { beta: 1 })).toThrow(/no part of the recipe has the setting beta/);
  });

  it('needs follow the settings', () => {
    const needs = (spec: string, settings = {}) => {
      const { slots, settings: all } = recipeOf(spec, settings);
      return [...recipeNeeds(slots, all)];
    };
    expect(needs('grpo')).toEqual(['reference']);
    expect(needs('grpo', { beta: 0 })).toEqual([]);
    expect(needs('gspo', { beta: 0 })).toEqual(['sequences']);
    expect(needs('rloo')).toEqual(['reference']);
    expect(needs('rloo', { kl_coef: 0 })).toEqual([]);
  });
});
