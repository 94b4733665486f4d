import type { Ledger } from '../contracts/index.js';
import type { TrainingEvent, TrainingHooks, TrainingSummary } from '../lab/training/runInFolder.js';
import { duration, si } from './format.js';
import { exitCodes, type Io } from './io.js';
import type { TrainProgress } from './trainProgress.js';

export type StartEvent<Figures> = Extract<TrainingEvent<Figures>, { type: 'start' }>;

/** Figures that every training command has. */
interface StepFigures {
  readonly steps: number;
}

export interface TrainAction<Event extends { readonly type: string }, Result> {
  readonly json: boolean;
  readonly progress: TrainProgress;
  run(hooks: TrainingHooks<Event>): Promise<Result>;
  startText(event: Extract<Event, { type: 'start' }>): string;
  resultText(result: Result): string;
  /** further events of the command, as text to show */
  eventText?(event: Event): string | undefined;
}

/** Runs a training command with its progress; Ctrl-C saves and stops it. Returns the exit code. */
export async function runTraining<Event extends TrainingEvent<StepFigures> | { readonly type: 'completions' }, Result extends object>(
  { stdout, stderr }: Io,
  { json, progress, run, startText, resultText, eventText }: TrainAction<Event, Result>,
): Promise<number> {
  const abort = new AbortController();
  // once: a second signal ends the process
  const stop = (): void => abort.abort();
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
  const show = (text: string): void => {
    progress.clear();
    stderr.write(`${text}\n`);
  };
  const onEvent = (event: Event): void => {
    if (event.type === 'stage') progress.stage(event.what);
    else if (event.type === 'metrics') progress.metrics(event.line);
    else if (event.type === 'note') show(event.text);
    else if (event.type === 'start') {
      show(startText(event as Extract<Event, { type: 'start' }>));
      progress.start(event.figures.steps, event.resumed_step ?? 0);
    } else {
      const text = eventText?.(event);
      if (text !== undefined) show(text);
    }
  };
  try {
    const result = await run({ onEvent, signal: abort.signal });
    progress.clear();
    stdout.write(json ? `${JSON.stringify(result)}\n` : `${resultText(result)}\n`);
    return 'status' in result && result.status === 'diverged' ? exitCodes.failed : exitCodes.done;
  } catch (error) {
    progress.clear();
    if (!abort.signal.aborted) throw error;
    stderr.write('Stopped. What was trained is saved; the same command goes on from there.\n');
    return exitCodes.interrupted;
  } finally {
    process.off('SIGINT', stop);
    process.off('SIGTERM', stop);
  }
}

export const gib = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(2)} GiB`;

/** Where a run is written and from which step it goes on. */
export function placeText(
  { output_dir, resumed_step }: Pick<StartEvent<unknown>, 'output_dir' | 'resumed_step'>,
  save_steps: number | undefined,
): string {
  const from = resumed_step === null ? '' : `; going on from step ${resumed_step}`;
  const never = save_steps === 0 ? ' No checkpoints before the end (save_steps 0).' : '';
  return `in ${output_dir}${from}.${never}`;
}

/** How a run ended: final metrics and cost, or why it diverged. */
export function finishedText(
  { status, was_finished, metrics, output_dir, ledger, steps }: TrainingSummary,
  text: { cost(ledger: Ledger): string; readonly advice: string; readonly next: string },
): string {
  const cost = `${text.cost(ledger)}, ${si(ledger.model_flops + ledger.optimizer_flops)} FLOPs, ${duration(ledger.wall_seconds)}`;
  if (status === 'diverged')
    return `The loss left the finite numbers after ${cost}. ${text.advice} ${output_dir}/metrics.jsonl has the curve.`;
  const head = was_finished ? `This run had finished (${steps} steps); --overwrite_output_dir does it again.` : `Finished ${steps} steps.`;
  const names = Math.max(18, ...Object.keys(metrics).map((name) => name.length));
  const values = Object.entries(metrics).map(([name, value]) => `  ${name.padEnd(names)} ${value.toFixed(4)}`);
  return [head, ...values, `  ${cost}`, text.next].join('\n');
}
