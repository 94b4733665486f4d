import { describe, expect, it } from 'vitest';
import {
  completionUtility,
  createDataset,
  factStatements,
  multiHopFacts,
  preferencePairs,
  preferenceUtility,
  type TaskEntry,
} from '../../../src/data/tasks/index.js';

function problems(name: string, options: Record<string, unknown> = {}): TaskEntry[] {
  const dataset = createDataset(name, { size: 80, seed: 11, split: 'all', ...options });
  return Array.from({ length: dataset.length }, (_, i) => dataset.entry(i));
}

/** Follows relations through facts by looking them up. */
function follow(facts: readonly string[], question: string): string {
  const [start = '', ...relations] = question.split(' ');
  let at = start;
  for (const relation of relations) {
    const objects = facts.filter((f) => f.startsWith(`${at} ${relation} `)).map((f) => f.split(' ')[2] as string);
    if (objects.length === 0) return '-';
    expect(objects).toHaveLength(1);
    at = objects[0] as string;
  }
  return at;
}

describe('multi-hop', () => {
  it('is answered by following the facts of the prompt', () => {
    let missing = 0;
    for (const e of problems('multi-hop', { max_difficulty: 5, distractors: 8, unanswerable: 0.3 })) {
      const [facts = '', question = ''] = e.prompt.slice(0, -1).split('?');
      expect(question.split(' ')).toHaveLength(e.difficulty + 1);
      expect(e.answer).toBe(follow(facts.split(';'), question));
      expect(e.metadata.answerable).toBe(e.answer !== '-');
      if (e.answer === '-') missing++;
    }
    expect(missing).toBeGreaterThan(8);
    expect(missing).toBeLessThan(50);
  });

  it('is answered by the stated facts of its world where the prompt has none', () => {
    for (const unanswerable of [0, 0.3]) {
      const facts = multiHopFacts(5, unanswerable);
      expect(facts.length).toBeGreaterThan(unanswerable ? 140 : 239);
      expect(facts.length).toBeLessThan(unanswerable ? 190 : 241);
      for (const e of problems('multi-hop', { facts: 'memory', world: 5, unanswerable, max_difficulty: 4 }))
        expect(e.answer).toBe(follow(facts, e.prompt.slice(1, -1)));
    }
    expect(multiHopFacts(6)).not.toEqual(multiHopFacts(5));
  });
});

describe('fact-world', () => {
  const options = { world: 2, unstated: 0.25, conflicting: 0.5 };
  const statements = factStatements(options);

  it('states facts as often as their rarity says, and some never', () => {
    let conflicts = 0;
    let unknown = 0;
    for (const e of problems('fact-world', { ...options, size: 300 })) {
      const about = statements.filter((s) => s.startsWith(`${e.prompt.slice(0, -1)} `)).map((s) => s.split(' ')[2]?.slice(0, -1));
      expect(e.metadata.statements).toBe(about.length);
      if (about.length === 0) {
        unknown++;
        expect([e.answer, e.metadata.answerable]).toEqual(['unknown', false]);
        continue;
      }
      expect(about.length).toBe(2 ** (5 - e.difficulty));
      const share = about.filter((v) => v === e.answer).length / about.length;
      expect(e.metadata.probability).toBe(share);
      if (share < 1) {
        conflicts++;
        expect(share).toBe(0.75);
      }
    }
    expect(unknown / 300).toBeGreaterThan(0.15);
    expect(unknown / 300).toBeLessThan(0.35);
    expect(conflicts).toBeGreaterThan(30);
  });

  it('states everything when nothing is withheld, and repeats itself exactly', () => {
    expect(problems('fact-world', { unstated: 0 }).every((e) => e.metadata.answerable)).toBe(true);
    expect(factStatements(options)).toEqual(statements);
    expect(factStatements({ ...options, world: 3 })).not.toEqual(statements);
    expect(statements.every((s) => /^[a-z]{4} (hue|pet|job|home) [a-z]+\.$/.test(s))).toBe(true);
  });

  it('gives credit for abstaining as it is set', () => {
    const dataset = createDataset('fact-world', { size: 60, seed: 1, abstain_credit: 0.3, unstated: 0.5 });
    for (let i = 0; i < dataset.length; i++) {
      const entry = dataset.entry(i);
      expect(dataset.score('unknown', entry)).toBe(entry.metadata.answerable ? 0.3 : 1);
    }
  });
});

/** All responses without fillers: every choice of one to `most` offered words. */
function responses(offered: readonly string[], most: number): string[] {
  return Array.from({ length: 2 ** offered.length }, (_, mask) => offered.filter((_, i) => (mask >> i) % 2 === 1))
    .filter((words) => words.length >= 1 && words.length <= most)
    .map((words) => words.join(' '));
}

describe('preference-world', () => {
  const dataset = createDataset('preference-world', { size: 40, seed: 4 });
  const entries = Array.from({ length: 40 }, (_, i) => dataset.entry(i));

  it('scores every response by its place between the worst and the best of all', () => {
    for (const e of entries) {
      const all = responses(e.metadata.offered as string[], 3);
      const utilities = all.map((r) => preferenceUtility(r, e) ?? Number.NaN);
      const [worst, best] = [Math.min(...utilities), Math.max(...utilities)];
      const expected = utilities.map((u) => (u - worst) / (best - worst));
      expect(all.map((r) => dataset.score(r, e))).toEqual(expected);
      expect(preferenceUtility(e.answer, e)).toBe(best);
    }
  });

  it('has a utility that is linear in words, and consistent for a user over all prompts', () => {
    const worth = new Map<string, number>();
    for (const e of entries) {
      for (const step of e.steps) {
        const [word = '', value] = step.split(':');
        const name = `${e.metadata.user} ${word}`;
        expect(worth.get(name) ?? Number(value)).toBe(Number(value));
        worth.set(name, Number(value));
        expect(preferenceUtility(word, e)).toBe(Number(value));
      }
      const [a = '', b = ''] = e.metadata.offered as string[];
      const value = (word: string): number => worth.get(`${e.metadata.user} ${word}`) ?? Number.NaN;
      expect(preferenceUtility(`${b} ${a}`, e)).toBe(value(a) + value(b));
    }
    // users differ
    expect(new Set([...worth].map(([name, v]) => `${name.split(' ')[1]} ${v}`)).size).toBeGreaterThan(40);
  });

  it('refuses what is no response', () => {
    const e = entries[0] as TaskEntry;
    const [a = '', b = '', c = '', d = 'zzz'] = e.metadata.offered as string[];
    for (const bad of ['', `${a} ${a}`, `${a} zzz`, [a, b, c, d].join(' '), `${a},${b}`])
      expect([preferenceUtility(bad, e), dataset.score(bad, e)]).toEqual([null, 0]);
    expect(completionUtility(a, e)).toBeNull();
    expect(completionUtility(`#${a}`, e)).toBe(preferenceUtility(a, e));
  });

  it('shows choices that the taste explains, and can hold tastes out', () => {
    const seen = new Set<string>();
    const of = (combinations: string): TaskEntry[] => problems('preference-world', { shots: 6, combinations, size: 150 });
    for (const e of of('seen')) {
      seen.add(JSON.stringify(e.metadata.taste));
      const [shown = ''] = e.prompt.split(':');
      expect(shown).toMatch(/^[a-z]{3}>[a-z]{3}( [a-z]{3}>[a-z]{3})*$/);
      expect(e.metadata.user).toBeNull();
    }
    const heldOut = of('held-out').map((e) => JSON.stringify(e.metadata.taste));
    expect(heldOut.filter((taste) => seen.has(taste))).toEqual([]);
    // a word's worth in the steps agrees with the choices shown
    for (const e of of('any')) {
      const worth = new Map(e.steps.map((s) => s.split(':') as [string, string]));
      for (const shot of (e.prompt.split(':')[0] as string).split(' ')) {
        const [better, worse] = shot.split('>').map((w) => worth.get(w));
        if (better !== undefined && worse !== undefined) expect(Number(better)).toBeGreaterThan(Number(worse));
      }
    }
  });
});

describe('preference pairs', () => {
  const size = 400;
  const share = (n: number): number => n / size;
  const pairsOf = (options: Record<string, number> = {}) => {
    const pairs = preferencePairs({ size, seed: 9, ...options });
    return Array.from({ length: size }, (_, i) => pairs.pair(i));
  };
  const longer = (p: { chosen: string; rejected: string }): boolean => p.chosen.length > p.rejected.length;

  it('prefer the greater true utility, without regard to length', () => {
    const pairs = pairsOf();
    for (const p of pairs) {
      expect(p.utilities.chosen).toBe(completionUtility(p.chosen, p.entry));
      expect(p.utilities.rejected).toBe(completionUtility(p.rejected, p.entry));
      expect(p.utilities.chosen).toBeGreaterThan(p.utilities.rejected);
      expect(p.chosen.length).not.toBe(p.rejected.length);
    }
    expect(share(pairs.filter(longer).length)).toBeGreaterThan(0.42);
    expect(share(pairs.filter(longer).length)).toBeLessThan(0.58);
    expect(pairsOf()).toEqual(pairs);
  });

  it('carry a length cue and turned labels as often as asked', () => {
    expect(share(pairsOf({ length_cue: 1 }).filter(longer).length)).toBe(1);
    expect(share(pairsOf({ length_cue: 0 }).filter(longer).length)).toBe(0);
    const flipped = share(pairsOf({ flip: 0.2 }).filter((p) => p.mislabelled).length);
    expect(flipped).toBeGreaterThan(0.14);
    expect(flipped).toBeLessThan(0.26);
    expect(share(pairsOf({ flip: 1 }).filter((p) => p.mislabelled).length)).toBe(1);
  });

  it('follow Bradley and Terry: mislabelled as often as the logistic function of the margin says', () => {
    const temperature = 2;
    const pairs = pairsOf({ temperature });
    const expected = pairs.reduce(
      (sum, p) => sum + 1 / (1 + Math.exp(Math.abs(p.utilities.chosen - p.utilities.rejected) / temperature)),
      0,
    );
    expect(expected / size).toBeGreaterThan(0.1);
    // four standard deviations of a binomial
    expect(Math.abs(pairs.filter((p) => p.mislabelled).length - expected)).toBeLessThan(4 * Math.sqrt(expected));
  });

  it('keep a margin', () => {
    // prompts that allow no such margin get their widest pair
    const wide = pairsOf({ min_margin: 4, min_difficulty: 6 }).map((p) => p.utilities.chosen - p.utilities.rejected);
    expect(share(wide.filter((margin) => margin >= 4).length)).toBeGreaterThan(0.9);
    expect(Math.min(...pairsOf({ min_margin: 2 }).map((p) => p.utilities.chosen - p.utilities.rejected))).toBeGreaterThanOrEqual(1);
    expect(pairsOf({ min_margin: 0 }).some((p) => p.utilities.chosen === p.utilities.rejected)).toBe(true);
    expect(() => preferencePairs({ size: 1, seed: 0, flip: 2 })).toThrow(/flip must be a number from 0 to 1/);
  });
});
