import { stat } from 'node:fs/promises';
import { basename } from 'node:path';
import type { Row } from '../../data/dataset/dataset.js';
import { openDataset } from '../../data/dataset/open.js';
import { importedRow } from '../../data/examples/index.js';
import { permutation } from '../../data/stream/permutation.js';
import { foldIn, randomKey } from '../../tensor/random/threefry.js';
import { UsageError } from '../names.js';

/** Keys of a configuration that name its rows. */
export interface DataConfig {
  readonly dataset_name?: string | undefined;
  readonly dataset_config?: string | undefined;
  readonly dataset_train_split?: string | undefined;
  readonly dataset_test_split?: string | undefined;
  readonly eval_dataset_name?: string | undefined;
  readonly validation_fraction: number;
  readonly max_eval_samples: number;
  readonly seed: number;
}

/** Rows that train, and rows that are only measured. */
export interface DataRows {
  readonly name: string;
  readonly train: readonly Row[];
  readonly validation: readonly Row[];
}

const isFile = (path: string): Promise<boolean> =>
  stat(path).then(
    (info) => info.isFile(),
    () => false,
  );

async function read(path: string, split: string | undefined, config: DataConfig, chat: boolean): Promise<Row[]> {
  // the split of a single file is the file
  const own = split ?? ((await isFile(path)) ? undefined : 'train');
  const dataset = await openDataset({
    path,
    ...(config.dataset_config === undefined ? {} : { name: config.dataset_config }),
    ...(own === undefined ? {} : { split: own }),
  });
  const rows: Row[] = [];
  for await (const row of dataset.rows()) rows.push(importedRow(row, `${path}, row ${rows.length}`, { chat }));
  return rows;
}

/** A random part of the rows, drawn by the seed, apart from the rest; both keep their order. */
export function splitRows(rows: readonly Row[], fraction: number, most: number, seed: number): { train: Row[]; validation: Row[] } {
  const count = fraction === 0 ? 0 : Math.min(most, rows.length - 1, Math.max(1, Math.round(rows.length * fraction)));
  if (count <= 0) return { train: [...rows], validation: [] };
  const place = permutation(foldIn(randomKey(seed), 5), rows.length);
  const held = new Set(Array.from({ length: count }, (_, i) => place(i)));
  return { train: rows.filter((_, i) => !held.has(i)), validation: rows.filter((_, i) => held.has(i)) };
}

/**
 * The rows of a configuration: files (jsonl, json, csv, tsv, parquet) or a dataset of the hub, in Alpaca's and ShareGPT's shapes too. What validates
 * is another dataset or split, or a random part.
 */
export async function openRows(config: DataConfig, { chat }: { readonly chat: boolean }): Promise<DataRows> {
  const { dataset_name, eval_dataset_name, dataset_test_split, max_eval_samples } = config;
  if (dataset_name === undefined) throw new UsageError('no data to train on; give dataset_name, e.g. --dataset_name train.jsonl');
  const name = basename(dataset_name).replace(/\.[^.]*(\.gz)?$/, '');
  const train = await read(dataset_name, config.dataset_train_split, config, chat);
  if (eval_dataset_name !== undefined || dataset_test_split !== undefined) {
    const validation = await read(eval_dataset_name ?? dataset_name, dataset_test_split, config, chat);
    return { name, train, validation: validation.slice(0, max_eval_samples) };
  }
  return { name, ...splitRows(train, config.validation_fraction, max_eval_samples, config.seed) };
}
