import type { Settings, Tokenizer } from '../../contracts/index.js';
import type { JsonValue } from '../../data/stream/batch.js';
import type { NDArray } from '../../tensor/array.js';
import { VitroError } from '../../tensor/errors.js';
import { foldIn } from '../../tensor/random/threefry.js';
import type { HostContext, NamedReward, Part, PolicyService, SlotName } from './contract.js';
import { TaskTable } from './taskTable.js';

/** A number of 32 bits for a text (FNV-1a), so that purposes have keys of their own. */
export function textNumber(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193) >>> 0;
  return hash;
}

export interface HostOptions {
  /** key of the run */
  readonly key: NDArray;
  /** share of the run that is done */
  progress(): number;
  readonly tokenizer: Tokenizer;
  readonly eos: ReadonlySet<number>;
  readonly rewards: readonly NamedReward[];
  /** problems of the data set */
  readonly problems: number;
  readonly settings: Settings;
  readonly policy: () => PolicyService;
  readonly onNote?: (text: string) => void;
}

type Saved = Readonly<Record<'states' | 'tasks' | 'settings', JsonValue>>;

/** What the host stages of a run share: settings of the moment, the parts' states, task columns, keys, metrics. */
export class Host {
  step = 0;
  settings: Settings;
  readonly tasks: TaskTable;
  readonly #states: Record<string, unknown> = {};
  #metrics: Record<string, { sum: number; count: number }> = {};
  readonly #notes = new Set<string>();

  constructor(readonly options: HostOptions) {
    this.settings = options.settings;
    this.tasks = new TaskTable(options.problems);
  }

  key(purpose: string, of: 'step' | 'run' = 'step'): NDArray {
    const own = foldIn(this.options.key, textNumber(purpose));
    return of === 'run' ? own : foldIn(own, this.step);
  }

  number(name: string): number {
    const value = this.settings[name];
    if (typeof value === 'number') return value;
    throw new VitroError(`rl: the setting ${name} must be a number, got ${JSON.stringify(value)}`);
  }

  note(text: string): void {
    if (this.#notes.has(text)) return;
    this.#notes.add(text);
    this.options.onNote?.(text);
  }

  metric(name: string, value: number): void {
    this.#metrics[name] ??= { sum: 0, count: 0 };
    const own = this.#metrics[name];
    own.sum += value;
    own.count++;
  }

  /** Means of this step's metrics; the next ones start anew. */
  takeMetrics(): Record<string, number> {
    const out = Object.fromEntries(Object.entries(this.#metrics).map(([name, { sum, count }]) => [name, sum / count]));
    this.#metrics = {};
    return out;
  }

  /** The context of a part. Its state is made when it is first used. */
  context<S>(slot: SlotName, part: Part<S>): HostContext<S> {
    const states = this.#states;
    const at = `${slot}/${part.name}`;
    const { tokenizer, eos, rewards, policy, progress } = this.options;
    return {
      step: this.step,
      progress: progress(),
      settings: this.settings,
      number: (name) => this.number(name),
      get state(): S {
        if (!Object.hasOwn(states, at)) states[at] = part.init?.() ?? {};
        return states[at] as S;
      },
      of: (other, keeper = slot) => this.context(keeper, other),
      tasks: this.tasks,
      key: (purpose, of) => this.key(`${at} ${purpose}`, of),
      rewards,
      eos,
      policy: policy(),
      tokenizer,
      metric: (name, value) => this.metric(name, value),
      note: (text) => this.note(text),
    };
  }

  /** Everything that a checkpoint has to carry, as JSON. */
  save(): Saved {
    // through JSON, so that what goes on and what is resumed cannot differ
    return JSON.parse(JSON.stringify({ states: this.#states, tasks: this.tasks.toJson(), settings: this.settings })) as Saved;
  }

  restore({ states, tasks, settings }: Saved): void {
    Object.assign(this.#states, structuredClone(states));
    this.tasks.restore(tasks as unknown as Record<string, number[]>);
    this.settings = settings as Settings;
  }
}
