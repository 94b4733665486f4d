import { Command, CommanderError } from 'commander';
import { readVersions } from '../lab/machine.js';
import { UsageError } from '../lab/names.js';
import { BackendError, VitroError } from '../tensor/index.js';
import { addCompare } from './compareCommand.js';
import { addDoctor } from './doctorCommand.js';
import { addEnv } from './envCommand.js';
import { addEval } from './evalCommand.js';
import { addExport } from './exportCommand.js';
import { addGenerate } from './generateCommand.js';
import { exitCodes, type Io } from './io.js';
import { addMethods } from './methodsCommand.js';
import { addPostTrain } from './postTrainCommands.js';
import { addPretrain } from './pretrainCommand.js';
import { addRl } from './rlCommands.js';
import { addRuns } from './runsCommand.js';

/** Builds the command line; `setExit` receives the exit code of the command that ran. */
function buildProgram(io: Io, setExit: (code: number) => void, wanted: string | undefined): Command {
  const program = new Command('vitro')
    .description('A foundation-model laboratory in TypeScript: published methods as diffs, compared at equal cost.')
    .version(readVersions().vitro)
    .exitOverride()
    .configureOutput({ writeOut: (s) => io.stdout.write(s), writeErr: (s) => io.stderr.write(s) })
    .showHelpAfterError('(--help shows how it is used)')
    .addHelpText(
      'after',
      `
Examples:
  $ vitro pretrain --dataset_name shakespeare
  $ vitro sft --model_name_or_path runs/pretrain --dataset_name demos.jsonl
  $ vitro grpo --model_name_or_path assets/bases/tasks-s --task countdown
  $ vitro generate --model runs/pretrain --prompt "Once upon a time"
  $ vitro compare adamw muon --testbed shakespeare --seeds 3
  $ vitro compare adamw muon --testbed shakespeare --seeds 5 --json > result.json
  $ vitro methods --status works
  $ vitro runs
  $ vitro doctor`,
    );
  addPretrain(program, io, setExit);
  addPostTrain(program, io, setExit, wanted);
  addRl(program, io, setExit, wanted);
  addGenerate(program, io, setExit);
  addEval(program, io, setExit);
  addExport(program, io, setExit);
  addCompare(program, io, setExit);
  addMethods(program, io, setExit);
  addRuns(program, io, setExit);
  addDoctor(program, io, setExit);
  addEnv(program, io, setExit);
  return program;
}

/** Runs one command line (without node and script) and returns its exit code. Never throws. */
export async function runCli(argv: readonly string[], io: Io = process): Promise<number> {
  let code: number = exitCodes.done;
  try {
    const setExit = (c: number): void => {
      code = c;
    };
    const program = buildProgram(io, setExit, argv[0] === 'help' ? argv[1] : argv[0]);
    if (argv.length === 0) {
      program.outputHelp();
      return exitCodes.usage;
    }
    await program.parseAsync([...argv], { from: 'user' });
    return code;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.done : exitCodes.usage;
    if (error instanceof UsageError) {
      io.stderr.write(`vitro: ${error.message}\n`);
      return exitCodes.usage;
    }
    const hint = error instanceof BackendError ? '\n"vitro doctor" says what works on this machine and what to install.' : '';
    const text = error instanceof VitroError ? error.message : error instanceof Error ? (error.stack ?? error.message) : String(error);
    io.stderr.write(`vitro: ${text}${hint}\n`);
    return exitCodes.failed;
  }
}
