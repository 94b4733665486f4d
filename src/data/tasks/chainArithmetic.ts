import { integer } from './knobs.js';
import { defineTask } from './task.js';

interface Operation {
  readonly sign: '+' | '-' | '*';
  readonly operand: number;
  readonly result: number;
}

/** Every operation with an operand from 1 to 9 (for *, 2 to 9) that keeps the value within [0, limit]. */
function operationsOn(value: number, limit: number): Operation[] {
  const out: Operation[] = [];
  for (let operand = 1; operand <= 9; operand++) {
    if (value + operand <= limit) out.push({ sign: '+', operand, result: value + operand });
    if (value - operand >= 0) out.push({ sign: '-', operand, result: value - operand });
    if (operand > 1 && value > 0 && value * operand <= limit) out.push({ sign: '*', operand, result: value * operand });
  }
  return out;
}

/** A running value, `7,+5,*2,-3=`: operations in the order written, without precedence. */
export const chainArithmetic = defineTask({
  id: 'chain-arithmetic',
  summary: 'a running value under + - *, in the order written',
  difficulty: { counts: 'operations', min: 1, max: 30, from: 2, to: 6 },
  knobs: { limit: integer(99, 18, 9999, 'the value stays within [0, limit]') },
  alphabet: '0123456789+-*,=;#',
  holdsOutCombinations: true,
  draw(draws, count, { limit }) {
    const start = draws.below(10);
    const operations: Operation[] = [];
    let value = start;
    for (let i = 0; i < count; i++) {
      // the sign first: else products, which seldom fit, would be rare
      const possible = operationsOn(value, limit);
      const signs = [...new Set(possible.map((o) => o.sign))];
      const sign = signs[draws.below(signs.length)];
      const fitting = possible.filter((o) => o.sign === sign);
      const operation = fitting[draws.below(fitting.length)] as Operation;
      operations.push(operation);
      value = operation.result;
    }
    const written = operations.map((o) => `${o.sign}${o.operand}`);
    const prompt = `${[start, ...written].join(',')}=`;
    return {
      identity: prompt,
      combinations: written.slice(1).map((operation, i) => `${written[i]}${operation}`),
      build: () => ({
        prompt,
        steps: operations.map((o, i) => `${operations[i - 1]?.result ?? start}${written[i]}=${o.result}`),
        answer: `${value}`,
        skills: [...new Set(operations.map((o) => o.sign))].sort(),
        metadata: { start, operations: written },
      }),
    };
  },
});
