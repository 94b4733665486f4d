import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { RunEvent, RunHooks } from '../../src/lab/runs.js';
import { rlAbouts } from '../../src/lab/testbeds/rl/index.js';
import type { RlTestbedAbout } from '../../src/lab/testbeds/rl/testbed.js';

/** A value of a table: a number is written with four digits. */
export type Cell = string | number | null;

/** What a study answers, and from what: results/studies/NAME.json. */
export interface Study {
  readonly name: string;
  /** number of the catalogue */
  readonly seed: string;
  readonly paper: string;
  readonly question: string;
  /** the answer in a word, and in sentences with figures */
  readonly verdict: 'yes' | 'no' | 'in part' | 'open';
  readonly answer: string;
  /** everything that was chosen: testbed, methods, budgets, numbers of samples */
  readonly settings: Readonly<Record<string, unknown>>;
  readonly seeds: readonly number[];
  /** one row a case; columns have equal names in all rows */
  readonly table: readonly Readonly<Record<string, Cell>>[];
  /** whatever the table leaves out: values by seed, intervals, p-values */
  readonly details?: unknown;
}

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

const text = (cell: Cell | undefined): string => {
  if (typeof cell !== 'number') return cell ?? '-';
  return Number.isInteger(cell) ? `${cell}` : cell.toFixed(4);
};

/** Rows under their columns' names. */
export function tableText(rows: Study['table']): string {
  const columns = Object.keys(rows[0] ?? {});
  const lines = [columns, ...rows.map((row) => columns.map((c) => text(row[c])))];
  const widths = columns.map((_, c) => Math.max(...lines.map((line) => (line[c] as string).length)));
  return lines.map((line) => line.map((cell, c) => cell.padEnd(widths[c] as number)).join('  ')).join('\n');
}

/** An estimate as `0.512 [0.480, 0.544]`. */
export const withInterval = ({ value, low, high }: { readonly value: number; readonly low: number; readonly high: number }): string =>
  Number.isFinite(low) ? `${value.toFixed(3)} [${low.toFixed(3)}, ${high.toFixed(3)}]` : value.toFixed(3);

/** What a testbed of reinforcement learning is made of. */
export function aboutOf(id: string): RlTestbedAbout {
  const about = rlAbouts.find((a) => a.id === id);
  if (!about) throw new Error(`there is no testbed ${id} of reinforcement learning`);
  return about;
}

/** Where runs of a study are kept, so that one that was interrupted goes on. */
export const runsOf = (name: string): string => join(root, 'runs', `study-${name}`);

/** A line for every finished run, to standard error. */
export const progress: RunHooks = {
  onEvent: (event: RunEvent) => {
    if (event.type === 'end') console.error(`${new Date().toISOString()} ${event.run} ${event.record.status}`);
  },
};

/** Prints a study and writes it to results/studies. */
export async function publish(study: Study): Promise<void> {
  console.log(`${study.question}\n\n${tableText(study.table)}\n\n${study.verdict}: ${study.answer}`);
  const folder = join(root, 'results', 'studies');
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, `${study.name}.json`), `${JSON.stringify(study, null, 2)}\n`);
}

/** Runs a study where its file is the program, `npx jiti recipes/studies/NAME.ts`, and not where it is imported. */
export async function runIfMain(url: string, study: () => Promise<Study>): Promise<void> {
  if (process.argv[1] === fileURLToPath(url)) await publish(await study());
}
