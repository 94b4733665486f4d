import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { RunRecord } from '../runStore.js';

/** A line of metrics.jsonl. */
export type MetricsLine = Readonly<Record<string, number | null>>;

/** What a run folder holds. */
export interface RunData {
  /** as it was asked for */
  readonly folder: string;
  /** run.json; undefined where the run has not ended */
  readonly record: RunRecord | undefined;
  readonly lines: readonly MetricsLine[];
}

const textOf = async (path: string): Promise<string | undefined> => {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
};

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // a line or file that a killed process left half-written
    return undefined;
  }
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);

/** Lines of a metrics.jsonl: the numbers of every line that is whole. */
export function parseMetrics(text: string): MetricsLine[] {
  return text.split('\n').flatMap((line) => {
    const value = line.trim() === '' ? undefined : parsed(line);
    if (!isRecord(value)) return [];
    return [Object.fromEntries(Object.entries(value).filter(([, v]) => typeof v === 'number' || v === null)) as MetricsLine];
  });
}

/** Reads a run folder; what is missing or half-written is left out. */
export async function readRun(folder: string): Promise<RunData> {
  const [record, metrics] = await Promise.all([textOf(join(folder, 'run.json')), textOf(join(folder, 'metrics.jsonl'))]);
  const value = record === undefined ? undefined : parsed(record);
  return {
    folder,
    record: isRecord(value) && isRecord(value.ledger) && isRecord(value.result) ? (value as unknown as RunRecord) : undefined,
    lines: parseMetrics(metrics ?? ''),
  };
}
