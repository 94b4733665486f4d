import type { RunEvent } from '../lab/runs.js';
import { duration, si } from './format.js';
import { clip } from './wrap.js';

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
  tokens: number;
}

const lineEvery = 10;
/** milliseconds between two paintings of the block: at least, and where nothing happens */
const repaintAfter = 100;
const repaintIdle = 1000;

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
  /** trained since the start of this call */
  #tokens = 0;
  #timer: NodeJS.Timeout | undefined;

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
      if (this.output.isTTY) this.#timer = setInterval(() => this.#paint(), repaintIdle).unref();
      return;
    }
    if (event.type === 'progress') this.#onProgress(event);
    else this.#onEnd(event);
  };

  #onProgress(event: Extract<RunEvent, { type: 'progress' }>): void {
    const run = this.#active.get(event.run) ?? { step: 0, steps: event.steps, loss: null, metric: undefined, tokens: 0 };
    this.#doneHere += event.step - run.step;
    this.#tokens += Math.max(0, (event.tokens ?? 0) - run.tokens);
    run.tokens = event.tokens ?? run.tokens;
    const crossed = Math.floor((event.step / run.steps) * lineEvery) > Math.floor((run.step / run.steps) * lineEvery);
    run.step = event.step;
    run.loss = event.loss ?? run.loss;
    run.metric = event.metric ?? run.metric;
    this.#active.set(event.run, run);
    if (this.output.isTTY) this.#paint();
    else if (crossed) this.output.write(`${this.#describe(event.run, run)}  [${this.#overall()}]\n`);
  }

  #onEnd(event: Extract<RunEvent, { type: 'end' }>): void {
    const run = this.#active.get(event.run);
    this.#doneHere += run ? run.steps - run.step : 0;
    this.#active.delete(event.run);
    this.#ended++;
    const value = event.record.result[this.#metric];
    const outcome =
      event.record.status === 'diverged' ? 'diverged' : `${this.#metric} ${value === undefined ? 'missing' : value.toFixed(4)}`;
    this.#write(`${event.run} ended: ${outcome} in ${duration(event.record.ledger.wall_seconds)}\n`);
    if (this.output.isTTY) this.#paint(true);
  }

  #describe(name: string, run: ActiveRun): string {
    const share = `${String(Math.floor((100 * run.step) / run.steps)).padStart(3)}%`;
    const loss = run.loss === null ? '' : `  loss ${run.loss.toFixed(3)}`;
    const metric = run.metric === undefined ? '' : `  ${this.#metric} ${run.metric.toFixed(3)}`;
    return `${name}  ${share}${loss}${metric}`;
  }

  /** "2/9 runs, 38%, about 3m 10s left, 12.3k tokens/s, 1m 55s so far": what matters most comes first, because narrow terminals cut the end. */
  #overall(): string {
    const elapsed = (this.now() - this.#started) / 1000;
    const toDo = this.#steps - this.#reused;
    const share = toDo > 0 ? Math.min(1, this.#doneHere / toDo) : 1;
    const parts = [`${this.#ended}/${this.#runs} runs`, `${Math.floor(100 * share)}%`];
    if (share > 0) parts.push(`about ${duration((elapsed * (1 - share)) / share)} left`);
    if (this.#tokens > 0 && elapsed > 0) parts.push(`${si(Math.round(this.#tokens / elapsed))} tokens/s`);
    return [...parts, `${duration(elapsed)} so far`].join(', ');
  }

  #paint(force = false): void {
    const now = this.now();
    if (!force && now - this.#lastPaint < repaintAfter) return;
    this.#lastPaint = now;
    const width = (this.output.columns || 100) - 1;
    // long names leave room for percentage and loss, and are padded so that the numbers stand below each other
    const room = Math.max(10, width - 36);
    const names = Math.min(room, Math.max(0, ...[...this.#active.keys()].map((name) => name.length)));
    const lines = [...this.#active].map(([name, run]) => this.#describe(clip(name, names).padEnd(names), run));
    const block = [...lines, this.#overall()].map((l) => `${l.slice(0, width)}\n`);
    this.#write(block.join(''));
    this.#painted = block.length;
  }

  /** Writes in the place of the painted block, in one go, so that nothing flickers. */
  #write(text: string): void {
    const back = this.#painted > 0 ? `\u001b[${this.#painted}A\u001b[0J` : '';
    this.#painted = 0;
    if (back + text !== '') this.output.write(back + text);
  }

  /** Ends the display; lines already printed stay. */
  stop(): void {
    clearInterval(this.#timer);
    this.#write('');
  }
}
