import { Draws } from '../../../data/probes/draws.js';
import { getOrMake } from '../../../tensor/getOrMake.js';
import { foldIn } from '../../../tensor/random/threefry.js';
import type { RolloutBatch } from '../batch.js';
import type { HostContext, Prompts, Scaffold, Scaffolded } from '../contract.js';
import { solutionOf } from './hints.js';

/**
 * Adaptive backtracking (Amani et al. 2025, arXiv:2506.18110): each problem keeps an interval [low, high] of the share of its solution that is revealed, and a step
 * draws the share from it.
 */

const interval = ({ tasks }: HostContext): readonly [Float64Array, Float64Array] => [
  tasks.column('revealed low', 0),
  tasks.column('revealed high', 1),
];

/** The first floor(share * m) of the m tokens of the solution, which the policy continues. */
export const revealedPrefix: Scaffold = {
  name: 'revealed-prefix',
  defaults: { adaback_plain: 0.1 },
  apply: (prompts, context) => {
    const [low, high] = interval(context);
    return prompts.map((prompt, i): Scaffolded => {
      const draws = new Draws(foldIn(context.key('share'), prompt.place ?? i));
      const plain = draws.unit() < context.number('adaback_plain');
      const [from, to] = [low[prompt.id] as number, high[prompt.id] as number];
      const revealed = plain ? 0 : from + (to - from) * draws.unit();
      const tokens = context.tokenizer.encode(solutionOf(prompt, context));
      const shown = tokens.slice(0, Math.floor(revealed * tokens.length));
      return {
        prompt,
        context: Int32Array.from([...prompt.tokens, ...shown]),
        prefix: context.tokenizer.decode(shown),
        notes: { revealed, plain },
      };
    });
  },
};

interface Averages {
  low: number;
  high: number;
  /** problems whose interval is their own, by id */
  readonly seen: Record<string, true>;
}

/**
 * Moves the intervals: mean reward of a problem below the threshold: low = share; else high = share, low = 0. Problems that were not seen yet have moving averages of
 * the others' bounds.
 */
export function moveIntervals(batch: RolloutBatch, context: HostContext<Averages>): void {
  const [low, high] = interval(context);
  const { state, metric } = context;
  const [threshold, speed] = [context.number('adaback_threshold'), context.number('adaback_speed')];
  const groups = new Map<string, { id: number; revealed: number; plain: boolean; rewards: number[] }>();
  for (const { trajectory, group, reward } of batch.samples) {
    const { revealed, plain } = trajectory.notes;
    if (typeof revealed !== 'number') continue;
    getOrMake(groups, group, () => ({ id: trajectory.prompt.id, revealed, plain: plain === true, rewards: [] })).rewards.push(reward);
  }
  for (const { id, revealed, plain, rewards } of groups.values()) {
    const solved = rewards.reduce((a, b) => a + b, 0) / rewards.length >= threshold;
    if (solved) [low[id], high[id]] = [0, revealed];
    else if (!plain) low[id] = revealed;
    state.seen[id] = true;
    state.low += speed * ((low[id] as number) - state.low);
    state.high += speed * ((high[id] as number) - state.high);
    metric('revealed', revealed);
  }
  for (let id = 0; id < low.length; id++) if (!state.seen[id]) [low[id], high[id]] = [state.low, state.high];
}

/** Prompts that move the intervals by what a step earned. */
export function withIntervals(inner: Prompts): Prompts {
  const moving: Prompts<Averages> = {
    ...inner,
    name: `${inner.name}+backtracking`,
    defaults: { ...inner.defaults, adaback_threshold: 0.5, adaback_speed: 0.1 },
    init: () => ({ low: 0, high: 1, seen: {} }),
    next: (count, dataset, context) => inner.next(count, dataset, context.of(inner)),
    observe: (batch, context) => {
      inner.observe?.(batch, context.of(inner));
      moveIntervals(batch, context);
    },
  };
  return moving;
}
