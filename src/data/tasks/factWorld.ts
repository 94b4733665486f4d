import { integer, real } from './knobs.js';
import { syllables, worldDraws } from './names.js';
import { defineTask, type TaskEntry } from './task.js';

/** What the world's entities have, and the values it takes. */
const attributes: Readonly<Record<string, readonly string[]>> = {
  hue: ['red', 'blue', 'teal', 'gold', 'gray', 'pink'],
  pet: ['cat', 'dog', 'fox', 'owl', 'hen', 'bee'],
  job: ['cook', 'poet', 'smith', 'nurse', 'clerk', 'pilot'],
  home: ['rome', 'oslo', 'lima', 'cairo', 'delhi', 'paris'],
};

const entityCount = 200;
const unknown = 'unknown';
const levels = 5;

/** How often a fact of a level is stated: 16, 8, 4, 2, 1. */
const statementsOf = (level: number): number => 2 ** (levels - level);

interface Fact {
  readonly entity: string;
  readonly attribute: string;
  readonly value: string;
  /** 1 (stated often) to 5 (once) */
  readonly level: number;
  /** how often each value is stated; empty where none ever is */
  readonly stated: readonly (readonly [value: string, times: number])[];
}

function makeFacts(world: number, unstated: number, conflicting: number): readonly Fact[] {
  const draws = worldDraws(world, 1);
  const entities = draws.distinct(entityCount, syllables.length ** 2).map((i) => {
    return `${syllables[Math.floor(i / syllables.length)]}${syllables[i % syllables.length]}`;
  });
  return entities.flatMap((entity) =>
    Object.entries(attributes).map(([attribute, values]): Fact => {
      const [value = '', other = ''] = draws.distinct(2, values.length).map((i) => values[i] as string);
      const level = 1 + draws.below(levels);
      const times = statementsOf(level);
      const [isUnstated, inConflict] = [draws.unit() < unstated, draws.unit() < conflicting && times >= 4];
      const stated: Fact['stated'] = isUnstated
        ? []
        : inConflict
          ? [
              [value, (3 * times) / 4],
              [other, times / 4],
            ]
          : [[value, times]];
      return { entity, attribute, value, level, stated };
    }),
  );
}

interface World {
  readonly facts: readonly Fact[];
  readonly byLevel: ReadonlyMap<number, readonly Fact[]>;
}

const made = new Map<string, World>();

function worldOf(world: number, unstated: number, conflicting: number): World {
  const name = `${world} ${unstated} ${conflicting}`;
  const found = made.get(name);
  if (found) return found;
  const facts = makeFacts(world, unstated, conflicting);
  const byLevel = new Map(Array.from({ length: levels }, (_, i) => [i + 1, facts.filter((f) => f.level === i + 1)]));
  made.set(name, { facts, byLevel });
  return { facts, byLevel };
}

const defaults = { world: 0, unstated: 0.2, conflicting: 0 } as const;

/** All statements of a fact world, `bafo hue red.`, in random order and as often as each is made: what a model is trained on before it is asked. */
export function factStatements(options: Partial<Record<keyof typeof defaults, number>> = {}): string[] {
  const { world, unstated, conflicting } = { ...defaults, ...options };
  const all = worldOf(world, unstated, conflicting).facts.flatMap(({ entity, attribute, stated }) =>
    stated.flatMap(([value, times]) => Array<string>(times).fill(`${entity} ${attribute} ${value}.`)),
  );
  return worldDraws(world, 2)
    .distinct(all.length, all.length)
    .map((i) => all[i] as string);
}

/** Right values count 1 and `unknown` counts 1 for what was never stated; elsewhere it earns the abstention's credit. */
function score(answer: string, entry: TaskEntry): number {
  if (answer.trim() === entry.answer) return 1;
  return answer.trim() === unknown ? (entry.metadata.abstain_credit as number) : 0;
}

/**
 * Questions about facts that stand in no prompt, `bafo hue?`: statements of the world are read in training (factStatements), some often, some
 * once, some never. What was never stated is answered `unknown`. With `conflicting`, some facts are stated 3 to 1 in two ways, so that the ideal
 * confidence, metadata.probability, is known. For tests of calibration and hallucination.
 */
export const factWorld = defineTask({
  id: 'fact-world',
  summary: 'facts remembered from statements, some of them never stated',
  difficulty: { counts: 'rarity: facts of 1 to 5 are stated 16, 8, 4, 2, 1 times', min: 1, max: levels, from: 1, to: levels },
  knobs: {
    world: integer(defaults.world, 0, 2 ** 31, 'number of the world'),
    unstated: real(defaults.unstated, 0, 0.9, 'share of facts that are never stated'),
    conflicting: real(defaults.conflicting, 0, 1, 'share of facts (of rarity 1 to 3) that are stated in two ways, 3 to 1'),
    abstain_credit: real(0, 0, 0.99, 'score of `unknown` where the fact was stated'),
  },
  alphabet: 'abcdefghijklmnoprstuvwxyz ?#',
  draw(draws, level, { world, unstated, conflicting, abstain_credit }) {
    const facts = worldOf(world, unstated, conflicting).byLevel.get(level) ?? [];
    const fact = facts[draws.below(Math.max(1, facts.length))];
    if (!fact) return null;
    const total = fact.stated.reduce((n, [, times]) => n + times, 0);
    const answerable = total > 0;
    const prompt = `${fact.entity} ${fact.attribute}?`;
    return {
      identity: prompt,
      build: () => ({
        prompt,
        steps: [],
        answer: answerable ? fact.value : unknown,
        skills: [fact.attribute],
        metadata: { answerable, statements: total, probability: answerable ? (fact.stated[0]?.[1] ?? 0) / total : 1, abstain_credit },
      }),
    };
  },
  score,
});
