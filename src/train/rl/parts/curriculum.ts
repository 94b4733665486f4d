import { Draws } from '../../../data/probes/draws.js';
import { permutation } from '../../../data/stream/permutation.js';
import { VitroError } from '../../../tensor/errors.js';
import { getOrMake } from '../../../tensor/getOrMake.js';
import { foldIn } from '../../../tensor/random/threefry.js';
import type { RolloutBatch } from '../batch.js';
import type { HostContext, Part, PromptDataset, Prompts } from '../contract.js';
import type { Prompt } from '../trajectory.js';

/** What choices of problems share: solve rates, difficulties, and the choice of the best among candidates. */

/** Share of the completions of each problem of a batch that succeeded: rewards are 0 or 1, and above 0.5 counts as success. */
export function solveRates(batch: RolloutBatch): Map<number, number> {
  const counts = new Map<number, { solved: number; all: number }>();
  for (const { trajectory, reward } of batch.samples) {
    const own = getOrMake(counts, trajectory.prompt.id, () => ({ solved: 0, all: 0 }));
    own.all++;
    if (reward > 0.5) own.solved++;
  }
  return new Map([...counts].map(([id, { solved, all }]) => [id, solved / all]));
}

const known = new WeakMap<PromptDataset, Float64Array>();

/** The column `difficulty` of all problems. @throws VitroError where a problem has none */
export const difficulties = (dataset: PromptDataset): Float64Array =>
  getOrMake(known, dataset, () =>
    Float64Array.from({ length: dataset.length }, (_, i) => {
      const { difficulty } = dataset.prompt(i).columns;
      if (typeof difficulty === 'number') return difficulty;
      throw new VitroError(`rl: problem ${i} has no number in the column difficulty, which this curriculum goes by`);
    }),
  );

/**
 * Pass rates of a weak and a strong model on each problem, between which the policy's are interpolated: columns of these names, or where they are missing
 * 1 - difficulty (scaled to [0, 1]) and 1.
 */
export function passRateAnchors(dataset: PromptDataset, weak: unknown, strong: unknown): (readonly [number, number])[] {
  const rows = Array.from({ length: dataset.length }, (_, i) => dataset.prompt(i).columns);
  const pairs = rows.map((c) => [c[String(weak)], c[String(strong)]] as const);
  if (pairs.every((p): p is readonly [number, number] => p.every((x) => typeof x === 'number'))) return pairs;
  const hard = difficulties(dataset);
  const low = hard.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY);
  const high = hard.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  return Array.from(hard, (d) => [high > low ? (high - d) / (high - low) : 1, 1] as const);
}

/** The problem of a place in an endless order that is new in each epoch. */
export const endlessOrder = (key: Parameters<typeof permutation>[0], length: number): ((place: number) => number) => {
  const epochs = new Map<number, (index: number) => number>();
  return (place) => {
    const epoch = Math.floor(place / length);
    return getOrMake(epochs, epoch, () => permutation(foldIn(key, epoch), length))(place % length);
  };
};

interface Calls {
  calls: number;
}

export interface Scoring<S> {
  readonly dataset: PromptDataset;
  readonly context: HostContext<S>;
  readonly draws: Draws;
}

/** How candidates are scored and what is learned from a step. */
export interface Chooser<S> extends Part<S> {
  /** the setting that says how many candidates there are for each problem that is asked for; 0 = all problems */
  readonly candidates: string;
  /** score of each candidate; the highest are taken */
  score(candidates: readonly Prompt[], scoring: Scoring<S>): Float64Array;
  observe(batch: RolloutBatch, context: HostContext<S>): void;
}

/** Candidates from `inner` (or all problems, in a new order each time, which settles ties), of which those of the highest score are taken. */
export function chosenPrompts<S extends object>(inner: Prompts, chooser: Chooser<S>): Prompts {
  const chosen: Prompts<S & Calls> = {
    name: `${inner.name}+${chooser.name}`,
    defaults: { ...inner.defaults, ...chooser.defaults },
    init: () => ({ ...(chooser.init?.() as S), calls: 0 }),
    next: async (count, dataset, context) => {
      const factor = context.number(chooser.candidates);
      const key = foldIn(context.key('choice', 'run'), context.state.calls++);
      const order = permutation(key, dataset.length);
      const offered =
        factor > 0
          ? await inner.next(Math.ceil(count * factor), dataset, context.of(inner))
          : Array.from({ length: dataset.length }, (_, i) => dataset.prompt(order(i)));
      if (factor > 0 && offered.length <= count) return offered;
      const candidates = [...new Map(offered.map((p) => [p.id, p])).values()];
      const scores = chooser.score(candidates, { dataset, context, draws: new Draws(foldIn(key, 1)) });
      const ranked = [...candidates.keys()].sort((a, b) => (scores[b] as number) - (scores[a] as number) || a - b);
      return Array.from({ length: count }, (_, i) => candidates[ranked[i % ranked.length] as number] as Prompt);
    },
    observe: (batch, context) => {
      inner.observe?.(batch, context.of(inner));
      chooser.observe(batch, context);
    },
  };
  return chosen;
}
