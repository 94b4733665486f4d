import { Draws } from '../../data/probes/draws.js';
import { extractSteps, type TaskDocument, type TaskEntry, writeSolution } from '../../data/tasks/index.js';
import { foldIn, randomKey } from '../../tensor/random/threefry.js';

/** Ways of writing worked solutions that comparisons of reinforcement learning start from. Each is a pure function of the entry and a number. */

const styleKey = randomKey(0x7374796c);

/** Redundant checks: steps are written again right away with probability 0.4, and once the end is reached the last one to three steps are gone through once more. */
export function verboseDocument({ prompt, steps, answer }: Pick<TaskEntry, 'prompt' | 'steps' | 'answer'>, i: number): TaskDocument {
  const draws = new Draws(foldIn(foldIn(styleKey, 1), i));
  const again = steps.flatMap((step) => (draws.unit() < 0.4 ? [step, step] : [step]));
  const back = draws.unit() < 0.7 ? steps.slice(-(1 + draws.below(3))) : [];
  return { prompt, completion: writeSolution([...again, ...back], answer) };
}

/** A worked solution as another author would write it: every step in brackets. */
export const foreignSolution = ({ solution, answer }: { readonly solution: string; readonly answer: string }): string =>
  `${extractSteps(solution)
    .map((step) => `[${step}]`)
    .join('')}#${answer}`;

/** A solution that begins with its mode: `!` and its steps, or `.` and the answer at once, in turn. */
export function modeDocument({ prompt, steps, answer }: Pick<TaskEntry, 'prompt' | 'steps' | 'answer'>, i: number): TaskDocument {
  const thinks = i % 2 === 0;
  return { prompt, completion: `${thinks ? '!' : '.'}${writeSolution(thinks ? steps : [], answer)}` };
}

/** Chances that a step of noisyDocument is wrong. */
const slip = 0.3;

/** Chain arithmetic by a careless author: the result of a step is off by 1 to 9 with probability 0.3, and what follows goes on from the wrong value. */
export function noisyDocument({ prompt, metadata }: Pick<TaskEntry, 'prompt' | 'metadata'>, i: number): TaskDocument {
  const draws = new Draws(foldIn(foldIn(styleKey, 2), i));
  let value = metadata.start as number;
  const steps = (metadata.operations as readonly string[]).map((operation) => {
    const operand = Number(operation.slice(1));
    const right = operation[0] === '+' ? value + operand : operation[0] === '-' ? value - operand : value * operand;
    const wrong = draws.unit() < slip ? Math.max(0, right + (draws.below(2) === 0 ? 1 : -1) * (1 + draws.below(9))) : right;
    const step = `${value}${operation}=${wrong}`;
    value = wrong;
    return step;
  });
  return { prompt, completion: writeSolution(steps, `${value}`) };
}
