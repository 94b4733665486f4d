import { describe, expect, it } from 'vitest';
import type { Settings, Tokenizer } from '../../../src/contracts/index.js';
import { type PreferMethod, preferences } from '../../../src/train/prefer/index.js';
import { patchPreference } from '../../../src/train/prefer.js';
import { digitTokens } from '../../../src/train/sft/dist2loss.js';
import { type SftMethod, sfts } from '../../../src/train/sft/index.js';
import { patchSft } from '../../../src/train/sft.js';

const loss = (id: string, change: Settings = {}) => {
  const method = sfts[id] as SftMethod;
  return { method, settings: { ...method.defaults, ...change } };
};
const pair = (id: string, change: Settings = {}) => {
  const method = preferences[id] as PreferMethod;
  return { method, settings: { ...method.defaults, ...change } };
};
const owners = (patched: { parts: Readonly<Record<string, readonly { method: { id: string } }[]>> }): Record<string, string> =>
  Object.fromEntries(
    Object.entries(patched.parts).flatMap(([name, layers]) =>
      layers.length > 0 ? [[name, layers.map((l) => l.method.id).join(' ')]] : [],
    ),
  );

describe('patches', () => {
  it('leave what they do not name: nothing is the root, a method replaces its parts and keeps those of its parents', () => {
    expect(owners(patchSft([]))).toEqual({ target: 'sft', weight: 'sft', mask: 'sft' });
    expect(patchSft([]).id).toBe('sft');
    expect(owners(patchSft([loss('asft')]))).toEqual({ target: 'sft', weight: 'dft', mask: 'sft', auxiliary: 'asft' });
  });

  it('compose in any order where they touch different parts, and wrap what is beneath', () => {
    const one = patchSft([loss('dft'), loss('neftune'), loss('dist2loss')]);
    expect(one.id).toBe('dft+neftune+dist2loss');
    expect(owners(one)).toEqual({ embed: 'neftune', target: 'sft dist2loss', weight: 'dft', mask: 'sft' });
    expect(owners(patchSft([loss('neftune'), loss('dist2loss'), loss('dft')]))).toEqual(owners(one));
    expect(owners(patchPreference([pair('rappo'), pair('cw-po')]))).toMatchObject({ select: 'dpo rappo', pairWeight: 'dpo cw-po' });
    expect(owners(patchSft([loss('dft'), loss('asft')]))).toEqual(owners(patchSft([loss('asft')])));
  });

  it('clash where two families replace one part, and where one would undo what another builds on', () => {
    expect(() => patchSft([loss('dft'), loss('talr')])).toThrow('dft and talr clash: both replace the part weight');
    expect(() => patchSft([loss('asft'), loss('talr')])).toThrow('dft and talr clash');
    expect(() => patchSft([loss('dist2loss'), loss('ts2')])).toThrow('name ts2 before it');
    expect(owners(patchSft([loss('ts2'), loss('dist2loss')])).target).toBe('ts2 dist2loss');
  });

  it('hand settings to the parents that have them, and refuse two values for one', () => {
    const { methods } = patchPreference([pair('hinge', { beta: 0.3 })]);
    expect(methods[0]?.settings.beta).toBe(0.3);
    expect(() => patchPreference([pair('rappo', { beta: 0.3 }), pair('cw-po')])).toThrow('both set beta of dpo, to 0.3 and 0.1');
    expect(patchSft([loss('asft', { probability_power: 2 })]).methods.map((l) => l.settings.probability_power)).toEqual([undefined, 2, 2]);
  });
});

describe('digitTokens', () => {
  const tokenizer = (encode: (text: string) => Int32Array): Tokenizer => ({ encode }) as unknown as Tokenizer;

  it('finds the tokens of the digits, and says where there is none', () => {
    const digits = digitTokens(tokenizer((text) => Int32Array.of(20 + Number(text))));
    expect(digits.metric_tokens).toEqual([20, 21, 22, 23, 24, 25, 26, 27, 28, 29]);
    expect(digits.metric_values).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(() => digitTokens(tokenizer((text) => Int32Array.from(text === '7' ? [1, 2] : [1])))).toThrow('no single token for 7');
  });
});
