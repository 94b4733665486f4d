import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import { UsageError } from '../lab/names.js';
import { isRunFolder, readRunDetail, readRunDetails } from '../lab/report/runFolders.js';
import { queryRuns } from '../lab/report/runsSql.js';
import { exitCodes, type Io } from './io.js';
import { queryTable, runPage, runsTable } from './runsText.js';

interface RunsFlags {
  readonly sql?: string;
  readonly json?: boolean;
}

/** vitro runs [FOLDER] */
export function addRuns(program: Command, io: Io, setExit: (code: number) => void): void {
  program
    .command('runs')
    .description('List runs with their state and result, show one in full, or ask SQL over all of them.')
    .argument('[folder]', "a folder of runs, or one run's folder", 'runs')
    .option('--sql <query>', 'SQL over the tables runs and metrics (DuckDB, in memory: it can change nothing and read no other file)')
    .option('--json', 'print a JSON array (of one run: an object)')
    .addHelpText(
      'after',
      `
Status:
  finished     the run ended with a result
  diverged     its loss left the finite numbers
  running      a process is writing it now
  interrupted  it did not end; the command that started it goes on with it

Tables of --sql:
  runs     folder, testbed, method, seed, status, metric, value, step, tokens, seconds, model_flops,
           optimizer_flops, train_seconds, peak_rss_bytes, started_at, finished_at, recipe, task (JSON text)
  metrics  folder, and a column for every metric that was logged: global_step, loss, "val/bpb", ...

Examples:
  $ vitro runs
  $ vitro runs runs/compare-shakespeare-adamw-muon
  $ vitro runs runs/compare-shakespeare-adamw-muon/muon-seed0-1a2b3c4d5e
  $ vitro runs --sql "select method, count(*) n, avg(value) mean from runs where status = 'finished' group by method"
  $ vitro runs --sql 'select folder, min("val/bpb") best from metrics group by folder order by best' --json`,
    )
    .action(async (folder: string, flags: RunsFlags) => {
      io.stdout.write(`${await runsOutput(folder, flags, io.stdout.columns ?? 100)}\n`);
      setExit(exitCodes.done);
    });
}

async function runsOutput(folder: string, { sql, json }: RunsFlags, width: number): Promise<string> {
  if (!existsSync(folder))
    throw new UsageError(`there is no folder ${folder}; "vitro compare" writes runs into runs/, or name another folder`);
  if (sql !== undefined) {
    const result = await queryRuns(await readRunDetails(folder), sql);
    return json ? JSON.stringify(result.rows) : queryTable(result);
  }
  if (isRunFolder(folder)) {
    const detail = await readRunDetail(folder);
    const { summary, identity, record, lines } = detail;
    return json ? JSON.stringify({ ...summary, identity, record: record ?? null, metrics: lines }) : runPage(detail, width);
  }
  const runs = (await readRunDetails(folder)).map((d) => d.summary);
  if (json) return JSON.stringify(runs);
  return runs.length === 0 ? `No runs under ${folder}.` : runsTable(runs, folder);
}
