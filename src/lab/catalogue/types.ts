import type { Method } from '../../contracts/index.js';

/** A slot of the code: one folder of methods behind one contract. */
export interface CodeSlot {
  readonly id: string;
  /** name of the exported record of its methods */
  readonly record: string;
  readonly summary: string;
  /** path from the repository root */
  readonly folder: string;
  readonly methods: Readonly<Record<string, Method>>;
}
