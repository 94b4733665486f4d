import type { Settings } from '../../contracts/index.js';
import { NDArray } from '../../tensor/array.js';
import type { RolloutBatch } from './batch.js';
import type { AuxiliarySequence, Need, RlSlots, StageResult } from './contract.js';
import { auxiliaryWeight, columnName, knobName } from './objective.js';
import { type PackedPart, type PackItem, type PackOptions, packSequences, scatterColumn } from './pack.js';

/** What one auxiliary loss trains on in this step. */
export interface AuxiliaryBatch {
  readonly name: string;
  readonly sequences: readonly AuxiliarySequence[];
}

/** A packed item with where its values stand. */
interface Item extends PackItem {
  /** number of its sample; -1 for auxiliary sequences */
  readonly sample: number;
  readonly actions?: Uint8Array;
  /** first token within the batch */
  readonly start: number;
  readonly auxiliary?: { readonly name: string; readonly sequence: AuxiliarySequence };
}

/** Samples and auxiliary sequences, packed: what one optimizer step reads. */
export interface Minibatch {
  readonly parts: readonly PackedPart[];
  readonly items: readonly Item[];
  readonly samples: readonly number[];
  /** token numbers (within the batch) that train, samples in order: what a host stage sees */
  readonly tokens: Int32Array;
}

/** Packs samples of a batch (whole, and with the need 'groups' whole groups) and auxiliary sequences. */
export function packMinibatch(
  batch: RolloutBatch,
  samples: readonly number[],
  auxiliary: readonly AuxiliaryBatch[],
  needs: ReadonlySet<Need>,
  options: PackOptions,
): Minibatch {
  const groupOf = new Int32Array(batch.size);
  for (let g = 0; g < batch.groups; g++) groupOf.fill(g, batch.group(g).start, batch.group(g).end);
  const items: Item[] = [];
  const tokens: number[] = [];
  for (const n of samples) {
    let { start } = batch.span(n);
    for (const { context, replay_context, tokens: own, actions } of batch.samples[n]?.segments ?? []) {
      items.push({
        context: replay_context ?? context,
        tokens: own,
        actions,
        unit: needs.has('groups') ? (groupOf[n] as number) : n,
        sample: n,
        start,
      });
      for (let j = 0; j < own.length; j++) if (actions[j] === 1) tokens.push(start + j);
      start += own.length;
    }
  }
  let unit = batch.size;
  for (const { name, sequences } of auxiliary)
    for (const sequence of sequences) {
      const { context, tokens: own } = sequence;
      items.push({ context, tokens: own, unit: unit++, sample: -1, start: -1, auxiliary: { name, sequence } });
    }
  return { parts: packSequences(items, options), items, samples, tokens: Int32Array.from(tokens) };
}

/** Numbers as scalars of the graph. */
export const knobArrays = (settings: Settings, more: Readonly<Record<string, number>>): Record<string, NDArray> =>
  Object.fromEntries(
    [...Object.entries(settings), ...Object.entries(more)].flatMap(([name, value]) =>
      typeof value === 'number' ? [[knobName(name), new NDArray('f32', [], Float32Array.of(value))]] : [],
    ),
  );

interface ExtraInput {
  readonly batch: RolloutBatch;
  readonly minibatch: Minibatch;
  readonly slots: RlSlots;
  readonly settings: Settings;
  readonly needs: ReadonlySet<Need>;
  readonly temperature: number;
  readonly stage?: StageResult;
}

/** Places for sequences within a part, a power of two with one to spare for padding. */
function sequencePlaces(part: PackedPart, items: readonly Item[], batch: RolloutBatch): { sequence: NDArray; group: NDArray } {
  const here = [...new Set(part.placements.map(({ item }) => (items[item] as Item).sample).filter((n) => n >= 0))];
  const places = 2 ** Math.ceil(Math.log2(Math.max(8, here.length + 1)));
  const placeOf = new Map(here.map((n, i) => [n, i]));
  const sequence = new Int32Array(part.rows * part.length).fill(places - 1);
  for (const { item, row, offset } of part.placements) {
    const { sample, tokens } = items[item] as Item;
    const place = placeOf.get(sample);
    const at = row * part.length + offset;
    if (place !== undefined) sequence.fill(place, at, at + tokens.length);
  }
  const group = new Int32Array(places).fill(places - 1);
  const keys = [...new Set(here.map((n) => batch.samples[n]?.group))];
  for (const [i, n] of here.entries()) group[i] = keys.indexOf(batch.samples[n]?.group);
  return { sequence: new NDArray('i32', [part.rows, part.length], sequence), group: new NDArray('i32', [places], group) };
}

/** The arrays of each part beside its tokens. */
export function minibatchExtra(input: ExtraInput): Record<string, NDArray>[] {
  const { batch, minibatch, slots, settings, needs, temperature, stage } = input;
  const { parts, items, samples } = minibatch;
  const lengths = Float64Array.from(samples, (n) => batch.lengths[n] as number);
  const sampleWeight = slots.aggregate.weights(lengths, settings);
  const weightOf = new Map(samples.map((n, i) => [n, sampleWeight[i] as number]));
  const columns: Record<string, Float64Array> = { ...batch.columns };
  for (const [name, values] of Object.entries(stage?.columns ?? {})) {
    const whole = new Float64Array(batch.tokens);
    for (const [m, k] of minibatch.tokens.entries()) whole[k] = values[m] as number;
    columns[name] = whole;
  }
  const auxiliaryColumns = new Set(items.flatMap((i) => Object.keys(i.auxiliary?.sequence.columns ?? {})));
  const counts = parts.map((part) => Math.max(1, trainingTokens(part, items)));
  const total = counts.reduce((a, b) => a + b, 0);
  const knobs = knobArrays(settings, { view_temperature: temperature, ...stage?.knobs });
  const scalar = (x: number): NDArray => new NDArray('f32', [], Float32Array.of(x));
  return parts.map((part, p) => {
    const fromBatch = (values: Float64Array) => (i: number) => {
      const { sample, start, tokens } = items[i] as Item;
      return sample < 0 ? undefined : values.subarray(start, start + tokens.length);
    };
    const put = (values: (item: number) => ArrayLike<number> | number | undefined): NDArray => scatterColumn(part, values, { items });
    const acting = (scale: (item: Item) => number) => (i: number) => {
      const item = items[i] as Item;
      return item.sample < 0 ? undefined : Float64Array.from(item.actions ?? [], (a) => a * scale(item));
    };
    const column = (name: string) => (i: number) => {
      const own = columns[name];
      const { auxiliary } = items[i] as Item;
      return auxiliary ? auxiliary.sequence.columns?.[name] : own && fromBatch(own)(i);
    };
    return {
      ...knobs,
      old_logp: put(fromBatch(batch.old_logp)),
      advantage: put(fromBatch(batch.advantages)),
      mask: put(acting(() => 1)),
      weight: put(acting(({ sample }) => weightOf.get(sample) ?? 0)),
      ...(slots.learners.length > 0 ? { uniform: put(acting(() => 1 / total)) } : {}),
      ...(batch.reference_logp ? { reference_logp: put(fromBatch(batch.reference_logp)) } : {}),
      ...Object.fromEntries([...new Set([...Object.keys(columns), ...auxiliaryColumns])].map((n) => [columnName(n), put(column(n))])),
      ...Object.fromEntries(
        slots.auxiliary.map(({ name }) => [
          auxiliaryWeight(name),
          put((i) => {
            const { auxiliary } = items[i] as Item;
            return auxiliary?.name === name ? auxiliary.sequence.weights : undefined;
          }),
        ]),
      ),
      ...(needs.has('sequences') ? sequencePlaces(part, items, batch) : {}),
      count: scalar(counts[p] as number),
      scale: scalar(total / (counts[p] as number)),
    };
  });
}

/** Number of tokens of a part that the policy chose and that train. */
function trainingTokens(part: PackedPart, items: readonly Item[]): number {
  return part.placements.reduce((n, { item }) => {
    const { sample, actions } = items[item] as Item;
    return sample < 0 ? n : n + (actions?.reduce((a, b) => a + b, 0) ?? 0);
  }, 0);
}
