import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type Example,
  type ExampleSet,
  exampleBatches,
  exampleSet,
  exampleSource,
  type SequenceBatch,
} from '../../../src/data/examples/index.js';
import { randomKey } from '../../../src/tensor/index.js';

const sequence = (n: number, seed: number) => ({
  ids: Int32Array.from({ length: n }, (_, i) => 1 + ((seed * 7 + i * 3) % 50)),
  trained: Uint8Array.from({ length: n }, (_, i) => (i > 0 && (seed + i) % 3 !== 0 ? 1 : 0)),
  values: { score: Float32Array.from({ length: n }, (_, i) => seed + i / 8) },
});
const setOf = (lengths: readonly (readonly number[])[]): ExampleSet =>
  exampleSet(
    lengths.map((own, e): Example => ({ sequences: own.map((n, j) => sequence(n, 5 * e + j)), columns: { number: [e], pair: [e, -e] } })),
    'test',
  );

/** What a batch holds, read back sequence by sequence. */
function readBack(
  set: ExampleSet,
  batch: SequenceBatch,
): { example: number; tokens: number[][]; targets: number[][]; scores: number[][] }[] {
  const of = (name: string): number[] => batch.extra[name]?.toNumbers() as number[];
  const [ids, present, numbers, ends] = [of('sequence_ids'), of('present'), of('example_ids'), of('ends')];
  const [inputs, targets, scores] = [batch.inputs.toNumbers(), batch.targets.toNumbers(), of('score')];
  const k = set.sequences;
  return present.flatMap((there, slot) => {
    if (!there) return [];
    const places = Array.from({ length: k }, (_, j) => ids.flatMap((id, at) => (id === slot * k + j ? [at] : [])));
    places.forEach((own, j) => {
      expect(own.at(-1)).toBe(ends[slot * k + j]);
    });
    expect(of('number')[slot]).toBe(numbers[slot]);
    expect(of('pair').slice(2 * slot, 2 * slot + 2)).toEqual([numbers[slot], numbers[slot] ? -(numbers[slot] as number) : -0]);
    const pick = (x: number[]): number[][] => places.map((own) => own.map((at) => x[at] as number));
    return [{ example: numbers[slot] as number, tokens: pick(inputs), targets: pick(targets), scores: pick(scores) }];
  });
}

const wanted = (set: ExampleSet, e: number) => {
  const { sequences } = set.examples[e] as Example;
  return {
    example: e,
    tokens: sequences.map(({ ids }) => [...ids]),
    targets: sequences.map(({ ids, trained }) => Array.from(ids, (_, i) => (trained[i + 1] ? (ids[i + 1] as number) : -1))),
    scores: sequences.map(({ values }) => [...(values?.score ?? [])]),
  };
};

const shapes = fc.array(fc.tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 9 })), { minLength: 1, maxLength: 9 });

describe('batches of examples', () => {
  it('hold every example of an epoch once, whole, in rows of its own or shared ones', () => {
    fc.assert(
      fc.property(
        shapes,
        fc.integer({ min: 1, max: 4 }),
        fc.option(fc.integer({ min: 2, max: 5 }), { nil: undefined }),
        fc.nat(),
        (lengths, size, rows, seed) => {
          const set = setOf(lengths);
          const source = exampleSource(set, { batch_size: size, context: 9, key: randomKey(seed), ...(rows ? { rows } : {}) });
          const n = lengths.length;
          const seen: number[] = [];
          while (seen.length < 2 * n)
            for (const got of readBack(set, source.next())) {
              expect(got).toEqual(wanted(set, got.example));
              seen.push(got.example);
            }
          // batches do not stop at the end of an epoch
          expect(source.epoch).toBeCloseTo(seen.length / n, 9);
          for (const epoch of [0, 1])
            expect(seen.slice(epoch * n, (epoch + 1) * n).sort((a, b) => a - b)).toEqual(lengths.map((_, e) => e));
        },
      ),
      { numRuns: 60 },
    );
  });

  it('keep sequences of shared rows apart by segments and positions; rows of their own need none', () => {
    const set = setOf([
      [3, 2],
      [2, 2],
    ]);
    const [packed] = exampleBatches(set, { batch_size: 2, context: 9, rows: 2 });
    expect(packed?.segment_ids?.toNested()).toEqual([
      [1, 1, 1, 2, 2, 3, 3, 4, 4],
      [0, 0, 0, 0, 0, 0, 0, 0, 0],
    ]);
    expect(packed?.positions?.toNumbers().slice(0, 9)).toEqual([0, 1, 2, 0, 1, 0, 1, 0, 1]);
    const [padded] = exampleBatches(set, { batch_size: 2, context: 4 });
    expect([padded?.segment_ids, padded?.positions]).toEqual([undefined, undefined]);
    expect(padded?.inputs.shape).toEqual([4, 4]);
  });

  it('go on exactly where a cursor stood, and refuse one of other data', () => {
    const set = setOf([
      [3, 2],
      [2, 2],
      [4, 1],
      [1, 1],
      [2, 5],
    ]);
    const make = (seed: number) => exampleSource(set, { batch_size: 2, context: 9, key: randomKey(seed) });
    const first = make(1);
    for (let i = 0; i < 4; i++) first.next();
    const cursor = JSON.parse(JSON.stringify(first.cursor())) as never;
    const second = make(1);
    second.seek(cursor);
    for (let i = 0; i < 4; i++) {
      const [a, b] = [first.next(), second.next()];
      expect([a.inputs.toNumbers(), a.extra.example_ids?.toNumbers()]).toEqual([b.inputs.toNumbers(), b.extra.example_ids?.toNumbers()]);
    }
    expect(() => make(2).seek(cursor)).toThrow('belongs to another sequence');
    expect(make(1).carries).toEqual(['number', 'pair', 'score']);
  });

  it('for evaluation: once, in order, the last batch with empty places', () => {
    const set = setOf([
      [3, 2],
      [2, 2],
      [4, 1],
    ]);
    const batches = exampleBatches(set, { batch_size: 2, context: 9 });
    expect(batches.map((b) => b.extra.present?.toNumbers())).toEqual([
      [1, 1],
      [1, 0],
    ]);
    expect(batches.flatMap((b) => readBack(set, b).map(({ example }) => example))).toEqual([0, 1, 2]);
  });

  it('refuse what does not fit', () => {
    const set = setOf([
      [3, 2],
      [12, 2],
    ]);
    expect(() => exampleBatches(set, { batch_size: 2, context: 9 })).toThrow('a sequence has 12 tokens and a row 9');
    expect(() => exampleBatches(setOf([[3, 2]]), { batch_size: 1, context: 9, rows: 1 })).toThrow('up to as many rows');
    expect(() => exampleSet([], 'x')).toThrow('there are no examples');
    const bad = { sequences: [sequence(3, 1)], columns: { present: [1] } };
    expect(() => exampleSet([bad], 'x')).toThrow('present is a name that batches use');
  });
});
