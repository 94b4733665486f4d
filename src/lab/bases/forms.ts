import { Draws } from '../../data/probes/draws.js';
import { type ChainVerdict, extractSteps, type TaskDocument, type TaskEntry, writeSolution } from '../../data/tasks/index.js';
import { foldIn, randomKey } from '../../tensor/random/threefry.js';

/** Forms of problems and solutions that some methods of reinforcement learning are made for. Each is a pure function of the entry and a number. */

const formKey = randomKey(0x666f726d);
const drawsOf = (form: number, i: number): Draws => new Draws(foldIn(foldIn(formKey, form), i));

type Sign = '+' | '-' | '*';

/** A problem of chain arithmetic: its first number, and `+5`, `*2` ... behind it. */
interface Chain {
  readonly start: number;
  readonly operations: readonly string[];
}
const chainOf = ({ metadata }: Pick<TaskEntry, 'metadata'>): Chain => metadata as unknown as Chain;

function apply(value: number, operation: string): number {
  const operand = Number(operation.slice(1));
  if (operation[0] === '*') return value * operand;
  return operation[0] === '-' ? value - operand : value + operand;
}

/** The value behind each operation. */
export function chainValues(entry: Pick<TaskEntry, 'metadata'>): number[] {
  const { start, operations } = chainOf(entry);
  let value = start;
  return operations.map((operation) => {
    value = apply(value, operation);
    return value;
  });
}

/** A worked solution with a confidence that says nothing: `step;step#answer~d`, d uniform. */
export const confidentDocument = ({ prompt, solution }: Pick<TaskEntry, 'prompt' | 'solution'>, i: number): TaskDocument => ({
  prompt,
  completion: `${solution}~${drawsOf(1, i).below(10)}`,
});

/** Chain arithmetic written from right to left: `7,+5,*2=` is `*2,+5,7:`. */
export const rightToLeft = (prompt: string): string => `${prompt.replace(/=$/, '').split(',').reverse().join(',')}:`;

/** A worked solution in which every operation of one sign comes out `by` too high with probability `chance`; what follows goes on from there. */
export function slippedSolution(
  entry: Pick<TaskEntry, 'metadata'>,
  slip: { sign: Sign; by: number; chance: number },
  draws: Draws,
): string {
  const { start, operations } = chainOf(entry);
  let value = start;
  const steps = operations.map((operation) => {
    const before = value;
    value = apply(value, operation) + (operation[0] === slip.sign && draws.unit() < slip.chance ? slip.by : 0);
    return `${before}${operation}=${value}`;
  });
  return writeSolution(steps, `${value}`);
}

/** Both forms of a problem in turn, with errors that depend on the form: differences are often one too high from left to right, sums ten too high from right to left. */
export function twoFormsDocument(entry: TaskEntry, i: number): TaskDocument {
  const draws = drawsOf(2, i);
  return i % 2 === 0
    ? { prompt: entry.prompt, completion: slippedSolution(entry, { sign: '-', by: 1, chance: 0.6 }, draws) }
    : { prompt: rightToLeft(entry.prompt), completion: slippedSolution(entry, { sign: '+', by: 10, chance: 0.6 }, draws) };
}

/** Parity with a letter for every bit, in the problem and in the steps, so that the last steps tell where to go on: `101=` is `a1b0c1=`, `a1;b1;c0#0`. */
export function labelledParity(entry: TaskEntry): TaskEntry {
  const letter = (i: number): string => String.fromCharCode(97 + i);
  const bits = entry.prompt.replace(/=$/, '').split('');
  const steps = entry.steps.map((step, i) => `${letter(i)}${step.split(':')[1]}`);
  return {
    ...entry,
    prompt: `${bits.map((bit, i) => `${letter(i)}${bit}`).join('')}=`,
    steps,
    solution: writeSolution(steps, entry.answer),
  };
}

/** A whole solution, or the rest of one behind its last 4 to 12 characters so far, in turn. */
export function resumedDocument({ prompt, solution }: Pick<TaskEntry, 'prompt' | 'solution'>, i: number): TaskDocument {
  if (i % 2 === 0) return { prompt, completion: solution };
  const draws = drawsOf(3, i);
  const at = 1 + draws.below(solution.length - 1);
  return { prompt: prompt + solution.slice(Math.max(0, at - 4 - draws.below(9)), at), completion: solution.slice(at) };
}

/**
 * A document of a corpus is a problem with its answer, `7,+5,*2=24`. As a problem of its own it is cut within the answer: `prompt` is what stands before the cut,
 * `solution` what stands behind it, `answer` the first character of that, `steps` the thoughts that lead to it.
 */
export function corpusContext(entry: TaskEntry, i: number): TaskEntry {
  const { prompt, answer } = entry;
  const cut = i % answer.length;
  return { ...entry, prompt: prompt + answer.slice(0, cut), solution: answer.slice(cut), answer: answer.charAt(cut) };
}

/** `thought#prediction` behind a context. A third of the thoughts is the whole solution, a third breaks off, a third is missing; predictions are right beginnings of the rest. */
export function thoughtDocument(entry: TaskEntry, i: number): TaskDocument {
  const draws = drawsOf(4, i);
  const { prompt, solution, steps } = entry;
  const kept = [steps.length, draws.below(steps.length), 0][draws.below(3)] as number;
  return { prompt, completion: writeSolution(steps.slice(0, kept), solution.slice(0, 1 + draws.below(solution.length))) };
}

/** Parts of a chain, `7,+5;*2,-3`, with the value behind each. `share` of the places between operations are borders. */
export function chainParts(
  entry: Pick<TaskEntry, 'metadata'>,
  share: number,
  draws: Draws,
): { readonly parts: string[]; readonly values: string[] } {
  const { start, operations } = chainOf(entry);
  const values = chainValues(entry);
  const ends = operations.flatMap((_, i) => (i === operations.length - 1 || draws.unit() < share ? [i] : []));
  const from = ends.map((_, p) => (p === 0 ? 0 : (ends[p - 1] as number) + 1));
  return {
    parts: ends.map((end, p) => [...(p === 0 ? [`${start}`] : []), ...operations.slice(from[p], end + 1)].join(',')),
    values: ends.map((end) => `${values[end]}`),
  };
}

/** In turn: a division (`problem|` -> `part;part`), a solution behind a division (`problem|part;part|` -> `value;value#answer`), and one without. Most parts are of one or two operations. */
export function divisionDocument(entry: TaskEntry, i: number): TaskDocument {
  const draws = drawsOf(5, i);
  const { parts, values } = chainParts(entry, Math.sqrt(draws.unit()), draws);
  const { prompt, answer } = entry;
  const completion = writeSolution(values, answer);
  if (i % 3 === 0) return { prompt: `${prompt}|`, completion: parts.join(';') };
  return { prompt: i % 3 === 1 ? `${prompt}|${parts.join(';')}|` : prompt, completion };
}

/** Judges a solution of values alone: each must be reached behind the one before it, and the last one at the end. */
export function judgeValues(completion: string, entry: Pick<TaskEntry, 'metadata'>): ChainVerdict {
  const values = chainValues(entry).map(String);
  let at = -1;
  let lost = false;
  const right = extractSteps(completion).map((said) => {
    const next = values.indexOf(said, at + 1);
    lost ||= next < 0;
    if (!lost) at = next;
    return !lost;
  });
  return { right, complete: !lost && at >= 0 && values[at] === values.at(-1) };
}
