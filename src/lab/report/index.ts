import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { CompareSummary } from '../compare.js';
import { reportPage } from './page.js';
import { readRun } from './readRuns.js';

/** Writes report.html into the results folder of a comparison: whole, or not at all. Runs that cannot be read are missing from its curves. */
export async function writeReport(out: string, summary: CompareSummary): Promise<void> {
  const runs = await Promise.all(summary.runs.map((folder) => readRun(join(out, folder))));
  const path = join(out, 'report.html');
  await writeFile(`${path}.tmp`, reportPage(summary, runs));
  await rename(`${path}.tmp`, path);
}
