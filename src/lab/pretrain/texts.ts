import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { corpusIds, loadCorpus } from '../../data/corpora.js';
import { DataError, type Dataset } from '../../data/dataset/dataset.js';
import { datasetFromRows } from '../../data/dataset/memory.js';
import { openDataset } from '../../data/dataset/open.js';
import { UsageError } from '../names.js';
import type { DatasetChoice, PretrainConfig } from './config.js';

/** One text of a run as documents: what trains and, if anything does, what validates. */
export interface TrainingText {
  readonly name: string;
  readonly train: Dataset;
  readonly validation?: Dataset;
  readonly text_column: string;
  /** whether the training part is one document, as a plain text file is */
  readonly single: boolean;
  /** share of the mixture; undefined: by number of tokens */
  readonly fraction?: number;
}

/** Rows [start, end) of a dataset as one of its own. */
function slice(dataset: Dataset, start: number, end: number): Dataset {
  return {
    columns: dataset.columns,
    length: end - start,
    rows: (range = {}) => dataset.rows({ start: start + (range.start ?? 0), end: Math.min(end, start + (range.end ?? end - start)) }),
    fingerprint: createHash('sha256').update(`${dataset.fingerprint} rows ${start} ${end}`).digest('hex'),
  };
}

async function countRows(dataset: Dataset): Promise<number> {
  if (dataset.length !== null) return dataset.length;
  let n = 0;
  for await (const _ of dataset.rows()) n++;
  return n;
}

async function isSingle(dataset: Dataset): Promise<boolean> {
  let n = 0;
  for await (const _ of dataset.rows({ end: 2 })) n++;
  return n === 1;
}

/** Cuts a text near a share of its length, behind a line break where one is near. */
function cutText(text: string, share: number): [string, string] {
  const wanted = Math.floor(text.length * share);
  const line = text.indexOf('\n', wanted) + 1;
  let cut = line > 0 && line - wanted < 1000 ? line : wanted;
  // not within a pair of surrogates
  if ((text.charCodeAt(cut) & 0xfc00) === 0xdc00) cut++;
  return [text.slice(0, cut), text.slice(cut)];
}

/** The end of a dataset split off for validation: of its documents, or of the text where there is only one. */
async function splitEnd(dataset: Dataset, column: string, fraction: number): Promise<{ train: Dataset; validation: Dataset }> {
  if (await isSingle(dataset)) {
    let text: unknown;
    for await (const row of dataset.rows({ end: 1 })) text = row[column];
    if (typeof text !== 'string') throw new DataError(`column "${column}" of the only row is no text; name another text_column`);
    const [head, tail] = cutText(text, 1 - fraction);
    return { train: datasetFromRows([{ [column]: head }]), validation: datasetFromRows([{ [column]: tail }]) };
  }
  const rows = await countRows(dataset);
  const cut = Math.min(rows - 1, Math.max(1, Math.round(rows * (1 - fraction))));
  return { train: slice(dataset, 0, cut), validation: slice(dataset, cut, rows) };
}

const decode = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (info) => info.isFile(),
    () => false,
  );
}

/** Line breaks and tabs as they are typed on a command line. */
const unescaped = (text: string): string => text.replaceAll('\\n', '\n').replaceAll('\\t', '\t');

async function open(choice: DatasetChoice, column: string, config: PretrainConfig): Promise<Dataset> {
  // the split of a single file is the file
  const split = choice.split ?? ((await isFile(choice.path)) ? undefined : 'train');
  return openDataset({
    path: choice.path,
    columns: [column],
    text_column: column,
    ...(choice.name === undefined ? {} : { name: choice.name }),
    ...(split === undefined ? {} : { split }),
    ...(config.document_separator === undefined ? {} : { separator: unescaped(config.document_separator) }),
  });
}

const bundled = (path: string): boolean => path !== 'bytes' && corpusIds.includes(path);

/** One dataset of the configuration, with what validates on it. */
async function openText(choice: DatasetChoice, config: PretrainConfig): Promise<TrainingText> {
  const column = choice.columns?.[0] ?? config.text_column;
  const name = basename(choice.path).replace(/\.[^.]*(\.gz)?$/, '');
  const about = { name, text_column: column, ...(choice.fraction === undefined ? {} : { fraction: choice.fraction }) };
  const apart = config.eval_dataset_name !== undefined;
  if (bundled(choice.path)) {
    const corpus = await loadCorpus(choice.path);
    const rows = (bytes: Uint8Array): Dataset => datasetFromRows([{ [column]: decode(bytes) }]);
    const validates = !apart && config.validation_fraction > 0;
    return { ...about, train: rows(corpus.train), ...(validates ? { validation: rows(corpus.validation) } : {}), single: true };
  }
  const whole = await open(choice, column, config);
  if (config.dataset_test_split !== undefined && !apart) {
    const validation = await open({ ...choice, split: config.dataset_test_split }, column, config);
    return { ...about, train: whole, validation, single: await isSingle(whole) };
  }
  if (apart || config.validation_fraction === 0) return { ...about, train: whole, single: await isSingle(whole) };
  const parts = await splitEnd(whole, column, config.validation_fraction);
  return { ...about, ...parts, single: await isSingle(parts.train) };
}

/** The datasets that a configuration names. */
export async function openTexts(config: PretrainConfig): Promise<readonly TrainingText[]> {
  const { datasets, dataset_name, eval_dataset_name } = config;
  if (datasets && dataset_name !== undefined) throw new UsageError('dataset_name and datasets are both given; give one of them');
  if (!datasets && dataset_name === undefined)
    throw new UsageError('no text to train on; give dataset_name, e.g. --dataset_name shakespeare, or the path of a file');
  const single = (path: string, split?: string): DatasetChoice => ({ path, name: config.dataset_config, split });
  const choices = datasets ?? [single(dataset_name as string, config.dataset_train_split)];
  const texts: TrainingText[] = [];
  for (const choice of choices) texts.push(await openText(choice, config));
  if (eval_dataset_name === undefined) return texts;
  const column = config.text_column;
  const validation = bundled(eval_dataset_name)
    ? datasetFromRows([{ [column]: decode((await loadCorpus(eval_dataset_name)).validation) }])
    : await open(single(eval_dataset_name, config.dataset_test_split), column, config);
  // belongs to no training text: it is scored once
  return texts.map((text, i) => (i === 0 ? { ...text, validation } : text));
}
