import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Draws } from '../../src/data/probes/draws.js';
import {
  eloRatings,
  eloTournament,
  knockout,
  majority,
  mostWins,
  type PairwiseJudge,
  roundRobin,
  scoreJudge,
} from '../../src/evaluate/tournament.js';
import { randomKey } from '../../src/tensor/index.js';

const exact: PairwiseJudge<number> = async (_, a, b) => (a > b ? 1 : a < b ? 0 : 0.5);
const key = randomKey(3);

describe('tournaments', () => {
  it('find the best response with a judge that makes no mistakes, at their number of questions', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uniqueArray(fc.integer(), { minLength: 1, maxLength: 12 }), fc.nat(), async (responses, seed) => {
        const best = responses.indexOf(Math.max(...responses));
        const n = responses.length;
        const options = { key: randomKey(seed) };
        const [k, e, v] = [
          await knockout('', responses, exact, options),
          await eloTournament('', responses, exact, options),
          await mostWins('', responses, exact, options),
        ];
        expect([k.best, e.best, v.best]).toEqual([best, best, best]);
        expect([k.calls, e.calls, v.calls]).toEqual([n - 1, (n * (n - 1)) / 2, (n * (n - 1)) / 2]);
        // no mistakes: ratings stand in the order of the responses
        const order = (x: readonly number[]): number[] => x.map((_, i) => i).sort((i, j) => (x[i] as number) - (x[j] as number));
        expect(order(e.ratings)).toEqual(order(responses));
        expect(order(v.ratings)).toEqual(order(responses));
      }),
      { numRuns: 40 },
    );
  });

  it('knockout: winners go on, an odd one out too, and the draw follows the key', async () => {
    const { rounds } = await knockout('', [5, 1, 4, 2, 3], exact, { key });
    expect(rounds.map((r) => r.length)).toEqual([5, 3, 2, 1]);
    expect([...(rounds[0] ?? [])].sort()).toEqual([0, 1, 2, 3, 4]);
    const again = await knockout('', [5, 1, 4, 2, 3], exact, { key });
    expect(again.rounds).toEqual(rounds);
    const draws = await Promise.all([0, 1, 2, 3].map((s) => knockout('', [5, 1, 4, 2, 3], exact, { key: randomKey(s) })));
    expect(new Set(draws.map((d) => d.rounds[0]?.join())).size).toBeGreaterThan(1);
    await expect(knockout('', [], exact, { key })).rejects.toThrow('no responses');
  });

  it('a round robin asks about every pair once, each side first about equally often', async () => {
    const asked: [number, number][] = [];
    const { wins, calls } = await roundRobin(
      '',
      [0, 1, 2, 3, 4, 5, 6, 7],
      async (_, a, b) => {
        asked.push([a, b]);
        return 0.75;
      },
      { key },
    );
    expect(calls).toBe(28);
    expect(new Set(asked.map(([a, b]) => [a, b].sort().join())).size).toBe(28);
    const inOrder = asked.filter(([a, b]) => a < b).length;
    expect(inOrder).toBeGreaterThan(5);
    expect(inOrder).toBeLessThan(23);
    for (const [i, row] of wins.entries()) for (const [j, w] of row.entries()) if (i !== j) expect(w + (wins[j]?.[i] as number)).toBe(1);
  });
});

describe('eloRatings', () => {
  it('is the closed form for two, and solves the equations of the likelihood for more', () => {
    const [a, b] = eloRatings(
      [
        [0, 7],
        [3, 0],
      ],
      { prior: 0 },
    );
    expect((a as number) - (b as number)).toBeCloseTo(400 * Math.log10(7 / 3), 6);
    const wins = [
      [0, 3, 5, 1],
      [2, 0, 4, 2],
      [1, 1, 0, 3],
      [4, 0, 2, 0],
    ];
    const ratings = eloRatings(wins, { prior: 0.5 });
    expect(ratings.reduce((s, r) => s + r, 0)).toBeCloseTo(0, 6);
    // expected wins equal the wins, ties of the prior included
    ratings.forEach((r, i) => {
      const [won, expected] = [0, 1, 2, 3]
        .filter((j) => j !== i)
        .reduce(
          ([w, e], j) => {
            const games = (wins[i]?.[j] as number) + (wins[j]?.[i] as number) + 0.5;
            return [w + (wins[i]?.[j] as number) + 0.25, e + games / (1 + 10 ** (((ratings[j] as number) - r) / 400))] as [number, number];
          },
          [0, 0] as [number, number],
        );
      expect(expected).toBeCloseTo(won, 6);
    });
  });
});

describe('judges', () => {
  it('a majority asks with the sides exchanged, so that a judge who prefers the first is undecided', async () => {
    const first: PairwiseJudge<number> = async () => 1;
    expect(await majority(first, 4)('', 1, 2, 0)).toBe(0.5);
    // right with probability 0.7 each: three votes are right with 0.7^3 + 3 0.7^2 0.3
    const draws = new Draws(randomKey(5));
    const noisy: PairwiseJudge<number> = async (_, a, b) => (draws.unit() < 0.7 === a > b ? 1 : 0);
    let right = 0;
    for (let i = 0; i < 3000; i++) right += (await majority(noisy, 3)('', 2, 1, i)) > 0.5 ? 1 : 0;
    expect(Math.abs(right / 3000 - 0.784)).toBeLessThan(0.03);
    expect(() => majority(first, 0)).toThrow('votes must be');
  });

  it('scores become chances', async () => {
    const judge = scoreJudge(async (_: string, x: number) => x);
    expect(await judge('', 2, 1, 0)).toBeCloseTo(1 / (1 + Math.exp(-1)), 12);
  });
});
