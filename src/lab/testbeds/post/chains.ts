import { Draws } from '../../../data/probes/draws.js';
import { type TaskEntry, writeSolution } from '../../../data/tasks/index.js';
import { foldIn, type randomKey } from '../../../tensor/random/threefry.js';

/** A chain of arithmetic in which one step is computed wrongly and the rest goes on from there. */
export interface WrongChain {
  readonly steps: readonly string[];
  readonly answer: string;
  /** number of the wrong step */
  readonly first_wrong: number;
}

const results: Readonly<Record<string, (a: number, b: number) => number>> = {
  '+': (a, b) => a + b,
  '-': (a, b) => a - b,
  '*': (a, b) => a * b,
};

/** The chain after the wrong result of step `at`; undefined where it leaves 0 to 99. */
function goOn(entry: TaskEntry, at: number, wrong: number): WrongChain | undefined {
  const operations = entry.metadata.operations as string[];
  const steps = [...entry.steps.slice(0, at), `${(entry.steps[at] as string).split('=')[0]}=${wrong}`];
  let value = wrong;
  for (const operation of operations.slice(at + 1)) {
    const next = results[operation[0] as string]?.(value, Number(operation.slice(1))) ?? Number.NaN;
    if (!(next >= 0 && next <= 99)) return undefined;
    steps.push(`${value}${operation}=${next}`);
    value = next;
  }
  return { steps, answer: String(value), first_wrong: at };
}

/** A slip in one step of chain arithmetic: its result is off by 1, 2, 3 or 10. Null where no slip of 100 leaves a chain within 0 to 99. */
export function wrongChain(entry: TaskEntry, key: ReturnType<typeof randomKey>): WrongChain | null {
  const draws = new Draws(foldIn(key, 0x736c6970));
  for (let attempt = 0; attempt < 100; attempt++) {
    const at = draws.below(entry.steps.length);
    const right = Number((entry.steps[at] as string).split('=')[1]);
    const wrong = right + ([1, -1, 2, -2, 3, -3, 10, -10][draws.below(8)] as number);
    const chain = wrong >= 0 && wrong <= 99 ? goOn(entry, at, wrong) : undefined;
    if (chain) return chain;
  }
  return null;
}

/** The chain as a completion. */
export const chainText = ({ steps, answer }: Pick<WrongChain, 'steps' | 'answer'>): string => writeSolution(steps, answer);
