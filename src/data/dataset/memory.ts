import { createHash } from 'node:crypto';
import { DataError, type Dataset, fullRange, type Row } from './dataset.js';

async function* rowsOf(rows: readonly Row[]): AsyncGenerator<Row> {
  yield* rows;
}

/** Rows in memory as a dataset. They must be JSON values: the fingerprint is taken of their JSON text. */
export function datasetFromRows(rows: readonly Row[]): Dataset {
  const [first] = rows;
  if (!first) throw new DataError('datasetFromRows: the dataset is empty');
  const hash = createHash('sha256').update('rows');
  for (const row of rows) hash.update(JSON.stringify(row)).update('\n');
  return {
    columns: Object.keys(first),
    length: rows.length,
    rows: (range) => {
      const { start, end } = fullRange(range);
      return rowsOf(rows.slice(start, end));
    },
    fingerprint: hash.digest('hex'),
  };
}
