import type { Draws } from '../probes/draws.js';
import { choice, integer, real } from './knobs.js';
import { syllables, worldDraws } from './names.js';
import { defineTask } from './task.js';

const relations = ['mip', 'tov', 'lur', 'saf', 'zed', 'nok'] as const;

interface Fact {
  readonly subject: string;
  readonly relation: string;
  /** null: never stated */
  readonly object: string | null;
}

const unknown = '-';

const pick = <T>(draws: Draws, from: readonly T[]): T => from[draws.below(from.length)] as T;

/** subjects of a memorised world */
const worldEntities = 40;

/** The facts of a memorised world by "subject relation"; the share of those never stated is `unanswerable`. */
function worldFacts(world: number, unanswerable: number): ReadonlyMap<string, Fact> {
  const draws = worldDraws(world, 0);
  const entities = draws.distinct(worldEntities, syllables.length).map((i) => syllables[i] as string);
  const facts = entities.flatMap((subject) =>
    relations.map((relation): Fact => {
      const object = pick(draws, entities);
      return { subject, relation, object: draws.unit() < unanswerable ? null : object };
    }),
  );
  return new Map(facts.map((f) => [`${f.subject} ${f.relation}`, f]));
}

const known = new Map<string, ReadonlyMap<string, Fact>>();

function worldOf(world: number, unanswerable: number): ReadonlyMap<string, Fact> {
  const name = `${world} ${unanswerable}`;
  const facts = known.get(name) ?? worldFacts(world, unanswerable);
  known.set(name, facts);
  return facts;
}

/** Everything that is stated of a memorised world, one fact a text, `ba mip ki`: what a model must be trained on before `facts: memory`. */
export const multiHopFacts = (world = 0, unanswerable = 0): string[] =>
  [...worldOf(world, unanswerable).values()].flatMap(({ subject, relation, object }) =>
    object ? [`${subject} ${relation} ${object}`] : [],
  );

/** A chain of facts, each one's object the subject of the next; a fact without object ends it early. */
function drawChain(draws: Draws, hops: number, facts: ReadonlyMap<string, Fact>): Fact[] {
  const chain: Fact[] = [];
  let subject: string | null = pick(draws, [...facts.values()]).subject;
  for (let i = 0; i < hops && subject; i++) {
    const fact = facts.get(`${subject} ${pick(draws, relations)}`) as Fact;
    chain.push(fact);
    subject = fact.object;
  }
  return chain;
}

/** A chain over new entities, and facts about others that share its relations. */
function drawLocal(draws: Draws, hops: number, distractors: number, unanswerable: number): { chain: Fact[]; stated: Fact[] } {
  const entities = draws.distinct(hops + 1 + distractors, syllables.length).map((i) => syllables[i] as string);
  const whole = Array.from({ length: hops }, (_, i): Fact => {
    return { subject: entities[i] as string, relation: pick(draws, relations), object: entities[i + 1] as string };
  });
  const missing = draws.unit() < unanswerable ? draws.below(hops) : hops;
  const chain = whole.slice(0, missing + 1).map((fact, i) => (i === missing ? { ...fact, object: null } : fact));
  const others = Array.from({ length: distractors }, (_, i): Fact => {
    const subject = entities[hops + 1 + i] as string;
    return { subject, relation: draws.below(2) ? pick(draws, whole).relation : pick(draws, relations), object: pick(draws, entities) };
  });
  const stated = [...whole.filter((_, i) => i !== missing), ...others];
  const order = draws.distinct(stated.length, stated.length);
  return { chain, stated: order.map((i) => stated[i] as Fact) };
}

/**
 * Questions over a knowledge base of functional relations, `ba mip ki;ki tov zu?ba mip tov=`: the answer is where the relations lead. With `facts:
 * memory` the base is a fixed world (multiHopFacts) and the prompt is the question alone. Where a fact is missing the answer is `-`.
 */
export const multiHop = defineTask({
  id: 'multi-hop',
  summary: 'follow relations through a knowledge base, in the prompt or memorised',
  difficulty: { counts: 'hops', min: 1, max: 6, from: 1, to: 3 },
  knobs: {
    facts: choice(['prompt', 'memory'], 'prompt', 'where the facts are: in the prompt, or learned from multiHopFacts(world)'),
    distractors: integer(4, 0, 30, 'facts in the prompt that are not needed'),
    unanswerable: real(0, 0, 0.9, 'facts in the prompt: share of questions with a missing fact; memory: share of facts never stated'),
    world: integer(0, 0, 2 ** 31, 'number of the memorised world'),
  },
  alphabet: 'abcdefgiklmnoprstuvz ?=-;#',
  holdsOutCombinations: true,
  draw(draws, hops, { facts, distractors, unanswerable, world }) {
    const inMemory = facts === 'memory';
    const { chain, stated } = inMemory
      ? { chain: drawChain(draws, hops, worldOf(world, unanswerable)), stated: [] }
      : drawLocal(draws, hops, distractors, unanswerable);
    // the question goes on where the facts end
    const asked = Array.from({ length: hops }, (_, i) => chain[i]?.relation ?? pick(draws, relations));
    const written = stated.map((f) => `${f.subject} ${f.relation} ${f.object}`);
    const question = `${chain[0]?.subject} ${asked.join(' ')}`;
    return {
      identity: `${[...written].sort().join(';')}?${question}`,
      combinations: asked.slice(1).map((relation, i) => `${asked[i]} ${relation}`),
      build: () => ({
        prompt: `${written.join(';')}?${question}=`,
        steps: chain.map((f) => `${f.subject} ${f.relation} ${f.object ?? unknown}`),
        answer: chain.at(-1)?.object ?? unknown,
        skills: asked,
        metadata: { answerable: chain.at(-1)?.object != null },
      }),
    };
  },
});
