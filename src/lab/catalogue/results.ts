import { type Dirent, readdirSync, readFileSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import { z } from 'zod';
import { VitroError } from '../../tensor/errors.js';
import type { Result } from './types.js';

const number = z.number().nullish();
const difference = z.looseObject({ mean: z.number(), low: number, high: number, n: z.number() });

/** What the catalogue needs of a comparison's file. Everything else in it, and every other file under results, is passed over. */
const comparison = z.looseObject({
  testbed: z.string(),
  metric: z.string(),
  baseline: z.string(),
  rows: z.array(
    z.looseObject({
      method: z.string(),
      values: z.array(number).optional(),
      estimate: z.looseObject({ mean: number, n: number }).nullish(),
      difference: difference.nullish(),
      verdict: z.string().nullish(),
      flops: number,
    }),
  ),
});

function jsonFiles(folder: string): string[] {
  let entries: Dirent[];
  try {
    entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
  return entries
    .filter((e) => e.isFile() && e.name.endsWith('.json'))
    .map((e) => join(e.parentPath, e.name))
    .sort();
}

/** The rows of every comparison under `root`/results, in order of their paths. Throws a VitroError on a file that is no JSON. */
export function readResults(root: string): Result[] {
  return jsonFiles(join(root, 'results')).flatMap((path): Result[] => {
    const file = relative(root, path).split(sep).join('/');
    let value: unknown;
    try {
      value = JSON.parse(readFileSync(path, 'utf8'));
    } catch (error) {
      throw new VitroError(`${file} is no JSON (${(error as Error).message}); write it anew with vitro compare --json`);
    }
    const parsed = comparison.safeParse(value);
    if (!parsed.success) return [];
    const { testbed, metric, baseline, rows } = parsed.data;
    const base = rows.find((r) => r.method === baseline)?.flops;
    return rows.map(({ method, values, estimate, difference: d, verdict, flops }) => ({
      file,
      testbed,
      metric,
      baseline,
      method,
      seeds: estimate?.n ?? values?.filter((v) => typeof v === 'number').length ?? 0,
      mean: estimate?.mean ?? null,
      difference: d ? { mean: d.mean, low: d.low ?? null, high: d.high ?? null, n: d.n } : null,
      verdict: verdict ?? null,
      flopsRatio: base && flops ? flops / base : null,
    }));
  });
}

const study = z.looseObject({
  seed: z.string(),
  question: z.string(),
  verdict: z.string(),
  answer: z.string(),
  seeds: z.array(z.number()),
});

/** What one committed study says of a paper: results/studies/NAME.json, written by recipes/studies/NAME.ts. */
export interface StudyResult {
  readonly file: string;
  /** number of the catalogue */
  readonly seed: string;
  readonly question: string;
  readonly verdict: string;
  readonly answer: string;
  readonly seeds: readonly number[];
}

/** The studies under `root`/results/studies, in order of their paths. Throws a VitroError on a file that is no study. */
export function readStudies(root: string): StudyResult[] {
  return jsonFiles(join(root, 'results', 'studies')).map((path): StudyResult => {
    const file = relative(root, path).split(sep).join('/');
    const parsed = study.safeParse(JSON.parse(readFileSync(path, 'utf8')));
    if (!parsed.success)
      throw new VitroError(`${file} is no study (${parsed.error.message}); write it anew with npx jiti recipes/studies/NAME.ts`);
    const { seed, question, verdict, answer, seeds } = parsed.data;
    return { file, seed, question, verdict, answer, seeds };
  });
}
