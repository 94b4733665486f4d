import { VitroError } from '../../tensor/errors.js';

/** Named numbers of every problem of a data set, kept over a run and saved with it: solve rates, posteriors, revealed shares. */
export class TaskTable {
  readonly #columns = new Map<string, Float64Array>();

  /** `size` = problems of the data set */
  constructor(readonly size: number) {}

  /** A column, filled with `start` when it is first asked for. Write to it in place. */
  column(name: string, start = 0): Float64Array {
    let values = this.#columns.get(name);
    if (!values) {
      values = new Float64Array(this.size).fill(start);
      this.#columns.set(name, values);
    }
    return values;
  }

  toJson(): Record<string, number[]> {
    return Object.fromEntries([...this.#columns].map(([name, values]) => [name, Array.from(values)]));
  }

  restore(json: Readonly<Record<string, readonly number[]>>): void {
    this.#columns.clear();
    for (const [name, values] of Object.entries(json)) {
      if (values.length !== this.size)
        throw new VitroError(`the task table has ${this.size} problems, but the saved column ${name} has ${values.length}`);
      this.#columns.set(name, Float64Array.from(values));
    }
  }
}
