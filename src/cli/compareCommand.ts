import { type Command, InvalidArgumentError } from 'commander';
import { compare } from '../lab/compare.js';
import type { RunHooks } from '../lab/runs.js';
import { testbedSummaries } from '../lab/testbeds/index.js';
import { type TuneResult, tune } from '../lab/tune.js';
import { compareTable, table } from './format.js';
import { exitCodes, type Io, lookOf } from './io.js';
import { Progress } from './progress.js';

interface CompareFlags {
  readonly testbed: string;
  readonly seeds: number;
  readonly metric?: string;
  readonly threads: number;
  readonly parallel?: number;
  readonly out?: string;
  readonly fresh?: boolean;
  readonly tune?: boolean;
  readonly set: readonly string[];
  readonly json?: boolean;
}

function count(text: string): number {
  const n = Number(text);
  if (!Number.isInteger(n) || n < 1) throw new InvalidArgumentError('It must be a whole number of at least 1.');
  return n;
}

const collect = (text: string, all: readonly string[]): string[] => [...all, text];

const listed = (entries: Readonly<Record<string, { readonly summary: string }>>): string =>
  Object.entries(entries)
    .map(([id, { summary }]) => `  ${id.padEnd(14)} ${summary}`)
    .join('\n');

/** vitro compare METHODS... */
export function addCompare(program: Command, io: Io, setExit: (code: number) => void): void {
  program
    .command('compare')
    .description(
      'Train methods at equal cost over several seeds and compare them with the first one: interval, paired difference, verdict.',
    )
    .argument('<methods...>', 'methods, or several joined by + (muon+quest); the first is the baseline')
    .option('--testbed <name>', 'the task', 'shakespeare')
    .option('--metric <name>', "the final metric that decides (default: the testbed's)")
    .option('--seeds <n>', 'number of seeds (0, 1, ...), shared by all methods', count, 5)
    .option('--threads <n>', 'threads of each run', count, 1)
    .option('--parallel <n>', 'runs side by side (default: cores / threads)', count)
    .option('--out <folder>', 'results folder (default: runs/compare-TESTBED-METHODS)')
    .option('--fresh', 'do finished runs again instead of taking them over')
    .option(
      '--set <slot.setting=value>',
      'a setting of a slot or method, for all rows that have it; may be given several times',
      collect,
      [],
    )
    .option('--tune', "run the testbed's tuning protocol for these methods instead of comparing them")
    .option('--json', 'print the result as one JSON object on stdout; progress goes to stderr')
    .addHelpText(
      'after',
      `
Testbeds:
${listed(testbedSummaries)}

"vitro methods" lists the methods. Each belongs to a slot; a row replaces what the testbed has in those slots.

Examples:
  $ vitro compare adamw muon --testbed shakespeare --seeds 3
  $ vitro compare adamw muon adam --parallel 1 --threads 2
  $ vitro compare softmax quest muon+quest --set optimizer.weight_decay=0
  $ vitro compare adamw muon --json | jq '.rows[1].difference'

Ctrl-C stops; finished runs are kept, and the same command goes on with the rest.`,
    )
    .action(async (methods: string[], flags: CompareFlags) => setExit(await runCompare(methods, flags, io)));
}

async function runCompare(methods: readonly string[], flags: CompareFlags, io: Io): Promise<number> {
  const abort = new AbortController();
  const interrupt = (): void => abort.abort();
  process.once('SIGINT', interrupt);
  const progress = new Progress(io.stderr);
  let ended = 0;
  const hooks: RunHooks = {
    signal: abort.signal,
    onEvent: (event) => {
      if (event.type === 'start') ended = event.reused;
      if (event.type === 'end') ended++;
      progress.onEvent(event);
    },
  };
  try {
    if (flags.tune) {
      const result = await tune({ ...flags, methods }, hooks);
      progress.stop();
      io.stdout.write(`${flags.json ? JSON.stringify(result) : tuneTable(result)}\n`);
    } else {
      const summary = await compare({ ...flags, methods }, hooks);
      progress.stop();
      io.stdout.write(`${flags.json ? JSON.stringify(summary) : `\n${compareTable(summary, lookOf(io.stdout))}`}\n`);
    }
    return exitCodes.done;
  } catch (error) {
    progress.stop();
    if (!abort.signal.aborted) throw error;
    io.stderr.write(`Stopped. ${ended} finished run${ended === 1 ? ' is' : 's are'} kept; the same command goes on with the rest.\n`);
    return exitCodes.interrupted;
  } finally {
    process.off('SIGINT', interrupt);
  }
}

function tuneTable(result: TuneResult): string {
  const rows = Object.entries(result.methods).flatMap(([id, { best, candidates }]) =>
    candidates.map((c) => [
      id,
      Object.entries(c.settings)
        .map(([k, v]) => `${k}=${v}`)
        .join(' '),
      c.mean?.toFixed(4) ?? 'diverged',
      c.settings === best.optimizer ? 'best' : '',
    ]),
  );
  return `${table(['method', 'settings', `${result.metric}, mean of ${result.seeds.length}`, ''], rows)}\n\n${result.protocol}`;
}
