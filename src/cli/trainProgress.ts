import type { MetricsLine } from '../train/pretrain.js';
import { duration, si } from './format.js';

interface Output {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

/** About so many lines where the output is no terminal. */
const plainLines = 20;

/** Shows one training run as it goes: on a terminal a line that repaints itself, else a plain line about every twentieth of it. */
export class TrainProgress {
  #steps = 1;
  #first = 0;
  #step = 0;
  #began = 0;
  #shown = -1;
  #painted = false;
  #loss: number | null = null;
  #speed = 0;
  #evaluation = '';

  constructor(
    readonly output: Output,
    readonly now: () => number = () => performance.now(),
  ) {}

  /** The run begins, at the step that it goes on from. */
  start(steps: number, first: number): void {
    this.#steps = steps;
    this.#first = first;
    this.#step = first;
    this.#began = this.now();
  }

  /** Says what is being done before the run begins, on a terminal only. */
  stage(what: string): void {
    if (this.output.isTTY) this.#paint(what);
  }

  metrics(line: MetricsLine): void {
    this.#step = line.global_step ?? this.#step;
    if (line.loss !== undefined) this.#loss = line.loss;
    this.#speed = line.tokens_per_second ?? this.#speed;
    const bpb = line['val/bpb'];
    if (typeof bpb === 'number') this.#evaluation = `  val/bpb ${bpb.toFixed(4)}`;
    if (this.output.isTTY) {
      this.#paint(this.#text());
      return;
    }
    const share = Math.floor((this.#step / this.#steps) * plainLines);
    if (share === this.#shown && typeof bpb !== 'number') return;
    this.#shown = share;
    this.output.write(`${this.#text()}\n`);
  }

  #text(): string {
    const elapsed = (this.now() - this.#began) / 1000;
    const done = this.#step - this.#first;
    const left = done > 0 ? (elapsed * (this.#steps - this.#step)) / done : 0;
    const loss = this.#loss === null ? '' : `  loss ${this.#loss.toFixed(4)}`;
    const eta = this.#step < this.#steps && done > 0 ? `, about ${duration(left)} left` : '';
    return `step ${this.#step}/${this.#steps}${loss}${this.#evaluation}  ${si(this.#speed)} tokens/s  [${duration(elapsed)}${eta}]`;
  }

  #paint(text: string): void {
    this.clear();
    this.output.write(text.slice(0, (this.output.columns || 100) - 1));
    this.#painted = true;
  }

  /** Removes the painted line. */
  clear(): void {
    if (this.#painted) this.output.write('\r\u001b[2K');
    this.#painted = false;
  }
}
