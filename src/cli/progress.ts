import type { RunEvent } from '../lab/runs.js';
import { duration } from './format.js';

interface Output {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

interface ActiveRun {
  step: number;
  steps: number;
  loss: number | null;
  metric: number | undefined;
}

const lineEvery = 10;

/**
 * Shows the runs of a comparison as they go: on a terminal a block that repaints itself, else a plain line per run about every tenth of it.
 * The remaining time follows from the steps done since the start of this call.
 */
export class Progress {
  readonly #active = new Map<string, ActiveRun>();
  readonly #started: number;
  #runs = 0;
  #ended = 0;
  /** training steps of all runs together */
  #steps = 1;
  #metric = '';
  #reused = 0;
  #doneHere = 0;
  #painted = 0;
  #lastPaint = 0;

  constructor(
    readonly output: Output,
    readonly now: () => number = () => performance.now(),
  ) {
    this.#started = now();
  }

  /** Receives the events of `compare` and `tune`. */
  readonly onEvent = (event: RunEvent): void => {
    if (event.type === 'start') {
      this.#runs = event.runs;
      this.#ended = event.reused;
      this.#steps = event.steps;
      this.#metric = event.metric;
      const reused = event.reused > 0 ? `, ${event.reused} finished already and taken over` : '';
      this.#reused = event.steps_reused;
      this.output.write(`${event.runs} runs, ${event.steps} steps, ${event.parallel} side by side${reused}; results in ${event.out}\n`);
      return;
    }
    if (event.type === 'progress') this.#onProgress(event);
    else this.#onEnd(event);
  };

  #onProgress(event: Extract<RunEvent, { type: 'progress' }>): void {
    const run = this.#active.get(event.run) ?? { step: 0, steps: event.steps, loss: null, metric: undefined };
    this.#doneHere += event.step - run.step;
    const crossed = Math.floor((event.step / run.steps) * lineEvery) > Math.floor((run.step / run.steps) * lineEvery);
    run.step = event.step;
    run.loss = event.loss ?? run.loss;
    run.metric = event.metric ?? run.metric;
    this.#active.set(event.run, run);
    if (this.output.isTTY) this.#paint();
    else if (crossed) this.output.write(`${this.#describe(event.run, run)}  ${this.#overall()}\n`);
  }

  #onEnd(event: Extract<RunEvent, { type: 'end' }>): void {
    const run = this.#active.get(event.run);
    this.#doneHere += run ? run.steps - run.step : 0;
    this.#active.delete(event.run);
    this.#ended++;
    const value = event.record.result[this.#metric];
    const outcome =
      event.record.status === 'diverged' ? 'diverged' : `${this.#metric} ${value === undefined ? 'missing' : value.toFixed(4)}`;
    this.#clear();
    this.output.write(`${event.run} ended: ${outcome} in ${duration(event.record.ledger.wall_seconds)}\n`);
    if (this.output.isTTY) this.#paint(true);
  }

  #describe(name: string, run: ActiveRun): string {
    const share = `${String(Math.floor((100 * run.step) / run.steps)).padStart(3)}%`;
    const loss = run.loss === null ? '' : `  loss ${run.loss.toFixed(3)}`;
    const metric = run.metric === undefined ? '' : `  ${this.#metric} ${run.metric.toFixed(3)}`;
    return `${name}  ${share}${loss}${metric}`;
  }

  #overall(): string {
    const elapsed = (this.now() - this.#started) / 1000;
    const eta =
      this.#doneHere > 0 ? `, about ${duration((elapsed * (this.#steps - this.#reused - this.#doneHere)) / this.#doneHere)} left` : '';
    return `[${this.#ended}/${this.#runs} runs, ${duration(elapsed)}${eta}]`;
  }

  #paint(force = false): void {
    const now = this.now();
    if (!force && now - this.#lastPaint < 100) return;
    this.#lastPaint = now;
    this.#clear();
    const width = (this.output.columns || 100) - 1;
    const lines = [...[...this.#active].map(([name, run]) => this.#describe(name, run)), this.#overall()];
    this.output.write(lines.map((l) => `${l.slice(0, width)}\n`).join(''));
    this.#painted = lines.length;
  }

  /** Removes the painted block. */
  #clear(): void {
    if (this.#painted > 0) this.output.write(`\u001b[${this.#painted}A\u001b[0J`);
    this.#painted = 0;
  }

  /** Ends the display; lines already printed stay. */
  stop(): void {
    this.#clear();
  }
}
