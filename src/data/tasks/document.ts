import { VitroError } from '../../tensor/errors.js';
import { foldIn, randomKey } from '../../tensor/random/threefry.js';
import { Draws } from '../probes/draws.js';
import { sourceFingerprint } from '../stream/batch.js';
import type { TaskDataset, TaskEntry } from './task.js';

/** A problem and what should be written after it, by the columns' usual names. The trainer adds the end-of-text token. */
export interface TaskDocument {
  readonly prompt: string;
  readonly completion: string;
}

/** Entry i as a document for supervised fine-tuning. */
export function taskDocument(dataset: TaskDataset, i: number): TaskDocument {
  const { prompt, solution } = dataset.entry(i);
  return { prompt, completion: solution };
}

export interface TaskMixture {
  readonly length: number;
  readonly fingerprint: string;
  /** which dataset item i is from, and its entry */
  at(i: number): { readonly dataset: TaskDataset; readonly entry: TaskEntry };
  document(i: number): TaskDocument;
}

/**
 * Datasets mixed with the given weights (default: their lengths). Item i is drawn by a counter-based generator: the dataset by weight, and of it entry i modulo its
 * length, so that item i does not depend on those before it.
 */
export function taskMixture(
  parts: readonly { readonly dataset: TaskDataset; readonly weight?: number }[],
  options: { readonly size: number; readonly seed: number },
): TaskMixture {
  const weights = parts.map((p) => p.weight ?? p.dataset.length);
  const total = weights.reduce((a, b) => a + b, 0);
  if (!(total > 0 && weights.every((w) => w >= 0 && Number.isFinite(w))))
    throw new VitroError(`taskMixture: weights must be positive numbers, got ${weights.join(', ') || 'no datasets'}`);
  const key = foldIn(randomKey(options.seed), 0x6d697874);
  const edges = weights.map((_, i) => weights.slice(0, i + 1).reduce((a, b) => a + b, 0) / total);

  const at: TaskMixture['at'] = (i) => {
    if (!(Number.isInteger(i) && i >= 0 && i < options.size))
      throw new VitroError(`taskMixture: item ${i} is not one of the ${options.size} items`);
    const place = new Draws(foldIn(key, i)).unit();
    const chosen = edges.findIndex((edge) => place < edge);
    const { dataset } = parts[chosen < 0 ? parts.length - 1 : chosen] as { dataset: TaskDataset };
    return { dataset, entry: dataset.entry(i % dataset.length) };
  };
  return {
    length: options.size,
    fingerprint: sourceFingerprint({
      kind: 'task-mixture',
      ...options,
      parts: parts.map((p, i) => [p.dataset.fingerprint, weights[i] as number]),
    }),
    at,
    document(i) {
      const { entry } = at(i);
      return { prompt: entry.prompt, completion: entry.solution };
    },
  };
}
