import { VitroError } from '../../tensor/errors.js';
import { choice, integer } from './knobs.js';
import { defineTask } from './task.js';

const letters = 'abcde';

const reversed = (s: string): string => [...s].reverse().join('');
const shifted =
  (by: number) =>
  (s: string): string =>
    [...s].map((c) => letters[(letters.indexOf(c) + by + letters.length) % letters.length]).join('');

/** The functions under names that say nothing. No two agree on all strings. */
const functions: Readonly<Record<string, (s: string) => string>> = {
  zop: reversed,
  kiv: (s) => s.slice(1) + s.slice(0, 1),
  mur: (s) => s.slice(-1) + s.slice(0, -1),
  dax: (s) => s + s,
  fep: (s) => s.slice(1),
  wug: (s) => s.slice(0, -1),
  lom: (s) => s.slice(0, 1) + s,
  bim: (s) => s + s.slice(-1),
  tas: (s) => (s.length < 2 ? s : s.slice(-1) + s.slice(1, -1) + s.slice(0, 1)),
  nef: (s) => s + reversed(s),
  gol: shifted(1),
  rek: shifted(-1),
  pid: (s) => [...s].filter((_, i) => i % 2 === 0).join(''),
  sul: (s) => [...s].sort().join(''),
  jat: (s) => `a${s}`,
  vop: (s) => `${s}e`,
};

const names = Object.keys(functions);

/** The result of a function of the string-functions task. */
export function applyStringFunction(name: string, text: string): string {
  const f = Object.hasOwn(functions, name) ? functions[name] : undefined;
  if (!f) throw new VitroError(`string-functions has no function ${name}; it has ${names.join(', ')}`);
  return f(text);
}

/** longer results are not drawn */
const maxResult = 16;

/**
 * Compositions of string functions with nonsense names, `zop(kiv(abc))=`. The atoms (depth 1) have to be learned; whether a model then composes
 * unseen pairs (combinations: held-out), functions that were never composed in training (functions: second) or deeper is the question.
 */
export const stringFunctions = defineTask({
  id: 'string-functions',
  summary: 'nested string functions with nonsense names, innermost first',
  paper: 'arXiv:2509.25123',
  difficulty: { counts: 'nested functions', min: 1, max: 8, from: 1, to: 2 },
  knobs: {
    functions: choice(['all', 'first', 'second'], 'all', 'the whole set of 16, or one half of it'),
    min_length: integer(3, 1, 12, 'shortest argument'),
    max_length: integer(5, 1, 12, 'longest argument'),
  },
  alphabet: 'abcdefgijklmnoprstuvwxz()=;#',
  holdsOutCombinations: true,
  draw(draws, depth, { functions: half, min_length, max_length }) {
    if (min_length > max_length) throw new VitroError(`string-functions: min_length ${min_length} is above max_length ${max_length}`);
    const from = half === 'all' ? names : half === 'first' ? names.slice(0, names.length / 2) : names.slice(names.length / 2);
    const length = min_length + draws.below(max_length - min_length + 1);
    const argument = Array.from({ length }, () => letters[draws.below(letters.length)]).join('');
    // from the inside out
    const applied = Array.from({ length: depth }, () => from[draws.below(from.length)] as string);
    const values = [argument];
    for (const name of applied) values.push(applyStringFunction(name, values.at(-1) as string));
    if (values.some((v) => v.length === 0 || v.length > maxResult)) return null;
    const prompt = `${applied.reduce((inner, name) => `${name}(${inner})`, argument)}=`;
    return {
      identity: prompt,
      combinations: applied.slice(1).map((outer, i) => `${outer} ${applied[i]}`),
      build: () => ({
        prompt,
        steps: applied.map((name, i) => `${name}(${values[i]})=${values[i + 1]}`),
        answer: values[depth] as string,
        skills: applied,
        metadata: { argument, functions: applied },
      }),
    };
  },
});
