import type { MetricsLine } from '../train/pretrain.js';
import { duration, si } from './format.js';

interface Output {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

/** A metric as the line of progress shows it. */
export interface ShownMetric {
  /** names, the first that a line of metrics has is shown */
  readonly keys: readonly string[];
  readonly label: string;
  readonly digits: number;
  /** a line that has it is always shown, also where the output is no terminal */
  readonly isEvaluation?: true;
}

/** What pretraining shows. */
export const pretrainMetrics: readonly ShownMetric[] = [
  { keys: ['loss'], label: 'loss', digits: 4 },
  { keys: ['val/bpb'], label: 'val/bpb', digits: 4, isEvaluation: true },
];

/** About so many lines where the output is no terminal. */
const plainLines = 20;

/** Shows one training run as it goes: on a terminal a line that repaints itself, else a plain line about every twentieth of it. */
export class TrainProgress {
  #steps = 1;
  #first = 0;
  #step = 0;
  #began = 0;
  #lines = -1;
  #painted = false;
  #speed = '';
  readonly #values = new Map<ShownMetric, number>();

  constructor(
    readonly output: Output,
    readonly shown: readonly ShownMetric[] = pretrainMetrics,
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
    let evaluated = false;
    for (const metric of this.shown) {
      const key = metric.keys.find((name) => line[name] !== undefined);
      if (key === undefined) continue;
      evaluated ||= metric.isEvaluation === true;
      const value = line[key];
      if (typeof value === 'number') this.#values.set(metric, value);
      else this.#values.delete(metric);
    }
    if (typeof line.tokens_per_second === 'number') this.#speed = `  ${si(line.tokens_per_second)} tokens/s`;
    else if (typeof line.step_time === 'number') this.#speed = `  ${line.step_time.toFixed(2)} s/step`;
    if (this.output.isTTY) {
      this.#paint(this.#text());
      return;
    }
    const share = Math.floor((this.#step / this.#steps) * plainLines);
    if (share === this.#lines && !evaluated) return;
    this.#lines = share;
    this.output.write(`${this.#text()}\n`);
  }

  #text(): string {
    const elapsed = (this.now() - this.#began) / 1000;
    const done = this.#step - this.#first;
    const left = done > 0 ? (elapsed * (this.#steps - this.#step)) / done : 0;
    const values = this.shown.flatMap((metric) => {
      const value = this.#values.get(metric);
      return value === undefined ? [] : [`  ${metric.label} ${value.toFixed(metric.digits)}`];
    });
    const eta = this.#step < this.#steps && done > 0 ? `, about ${duration(left)} left` : '';
    return `step ${this.#step}/${this.#steps}${values.join('')}${this.#speed}  [${duration(elapsed)}${eta}]`;
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
