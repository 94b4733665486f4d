import type { Draws } from '../probes/draws.js';
import { integer } from './knobs.js';
import { defineTask } from './task.js';

const people = 'abcdef';

/** What a person says, e.g. `-b` or `a=c`, and whether it is true of an assignment (true = knight). */
interface Statement {
  readonly speaker: number;
  readonly text: string;
  readonly holds: (knights: readonly boolean[]) => boolean;
}

const relations: Readonly<Record<string, (p: boolean, q: boolean) => boolean>> = {
  '&': (p, q) => p && q,
  '|': (p, q) => p || q,
  '=': (p, q) => p === q,
  '^': (p, q) => p !== q,
};

function drawStatement(draws: Draws, speaker: number, count: number): Statement {
  if (draws.below(2)) {
    const other = (speaker + 1 + draws.below(count - 1)) % count;
    const positive = draws.below(2) === 1;
    return { speaker, text: `${positive ? '+' : '-'}${people[other]}`, holds: (knights) => knights[other] === positive };
  }
  const [p, q] = draws.distinct(2, count).sort((x, y) => x - y) as [number, number];
  const sign = Object.keys(relations)[draws.below(4)] as string;
  const relation = relations[sign] as (p: boolean, q: boolean) => boolean;
  return { speaker, text: `${people[p]}${sign}${people[q]}`, holds: (knights) => relation(knights[p] === true, knights[q] === true) };
}

/** Assignment number i of 2^count: all knights first. */
const assignment = (i: number, count: number): boolean[] => Array.from({ length: count }, (_, p) => ((i >> (count - 1 - p)) & 1) === 0);

const spell = (knights: readonly boolean[]): string => knights.map((k) => (k ? 'k' : 'n')).join('');

/** The first statement that its speaker could not make: a knight's lie, a knave's truth. */
const contradiction = (statements: readonly Statement[], knights: readonly boolean[]): Statement | undefined =>
  statements.find((s) => s.holds(knights) !== knights[s.speaker]);

/**
 * Knights speak the truth, knaves lie: `a:-b;b:a=c;c:a|b?` asks who is what, `knk` for a knight, a knave, a knight. Statements: +b is a
 * knight, -b a knave, a&b both knights, a|b at least one, a=b of one kind, a^b of different kinds. Exactly one assignment is possible. Steps try
 * the assignments in order and name the first speaker who contradicts them.
 */
export const knightsAndKnaves = defineTask({
  id: 'knights-and-knaves',
  summary: 'who speaks the truth, from what each one says; the solution is unique',
  paper: 'arXiv:2410.23123',
  difficulty: { counts: 'people', min: 2, max: 6, from: 2, to: 3 },
  knobs: { statements: integer(1, 1, 3, 'statements of each person') },
  alphabet: 'abcdefkno+-&|=^:?;#',
  draw(draws, count, { statements: each }) {
    const statements = Array.from({ length: count * each }, (_, i) => drawStatement(draws, Math.floor(i / each), count));
    const possible = Array.from({ length: 2 ** count }, (_, i) => i).filter((i) => !contradiction(statements, assignment(i, count)));
    const [solution] = possible;
    if (solution === undefined || possible.length > 1) return null;
    const prompt = `${statements.map((s) => `${people[s.speaker]}:${s.text}`).join(';')}?`;
    return {
      identity: prompt,
      build: () => ({
        prompt,
        steps: Array.from({ length: solution + 1 }, (_, i) => {
          const knights = assignment(i, count);
          const against = contradiction(statements, knights);
          return `${spell(knights)}:${against ? people[against.speaker] : 'ok'}`;
        }),
        answer: spell(assignment(solution, count)),
      }),
    };
  },
});
