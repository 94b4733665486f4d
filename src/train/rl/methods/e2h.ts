import { Draws } from '../../../data/probes/draws.js';
import { VitroError } from '../../../tensor/errors.js';
import { foldIn } from '../../../tensor/random/threefry.js';
import type { Prompts } from '../contract.js';
import { difficulties, endlessOrder } from '../parts/curriculum.js';
import { e2hSchedules, levelsOf } from '../parts/levels.js';
import { shuffledPrompts } from '../parts/sampling.js';
import type { RlMethod } from './slot.js';

interface State {
  calls: number;
  /** problems that were taken of each level */
  readonly taken: number[];
}

const easyToHard: Prompts<State> = {
  name: 'easy-to-hard',
  defaults: { e2h_schedule: 'gaussian', e2h_levels: 0, e2h_speed: 0.5, e2h_width: 0.5, e2h_floor: 0 },
  init: () => ({ calls: 0, taken: [] }),
  next: (count, dataset, context) => {
    const { state, settings, progress, number } = context;
    const schedule = e2hSchedules[String(settings.e2h_schedule)];
    if (!schedule) throw new VitroError(`rl: e2h_schedule must be one of ${Object.keys(e2hSchedules).join(', ')}`);
    const { level, levels } = levelsOf(difficulties(dataset), number('e2h_levels'));
    const shares = schedule(progress, levels, { speed: number('e2h_speed'), width: number('e2h_width'), floor: number('e2h_floor') });
    const draws = new Draws(foldIn(context.key('levels', 'run'), state.calls++));
    const order = endlessOrder(context.of(shuffledPrompts).key('order', 'run'), dataset.length);
    while (state.taken.length < levels) state.taken.push(0);
    return Array.from({ length: count }, () => {
      const [own = 0] = draws.weighted(1, shares);
      const size = level.reduce((n, l) => n + (l === own ? 1 : 0), 0);
      const taken = state.taken[own] as number;
      state.taken[own] = taken + 1;
      // the problems of a level in the order in which an epoch over all problems comes to them
      let place = Math.floor(taken / size) * dataset.length;
      for (let before = taken % size; ; place++) if (level[order(place)] === own && before-- === 0) break;
      return dataset.prompt(order(place));
    });
  },
};

/**
 * E2H Reasoner (Parashar et al. 2025, arXiv:2506.06632): the level of difficulty of each problem is drawn, and the probabilities move from easy to hard with t.
 *   gaussian: S(t, k) ~ exp(-(t^speed (K - 1) - k)^2 / (2 width^2));   cosine: S = a early + (1 - a) late, a = (1 + cos pi t) / 2
 * Against grpo: the prompts.
 */
export const e2h: RlMethod = {
  id: 'e2h',
  summary: 'levels of difficulty are drawn with probabilities that move from easy to hard',
  seed: 'P207',
  paper: 'arXiv:2506.06632',
  equation: 'S(t, k) ~ exp(-(t^speed (K - 1) - k)^2 / (2 width^2)), t = step / max_steps, k = 0 ... K - 1',
  parent: 'grpo',
  defaults: { e2h_schedule: 'gaussian', e2h_speed: 0.5, e2h_width: 0.5 },
  knobs: {
    e2h_schedule: 'gaussian, cosine, balanced or classic',
    e2h_speed: 'exponent of t: below 1 the first levels are left early',
    e2h_width: 'standard deviation of the bell in levels',
  },
  limits: [{ slot: 'prompts', settings: { e2h_levels: 1 }, tolerance: 0 }],
  provenance: 'repo',
  assumes: [
    'no floor under the probabilities of the gaussian schedule',
    'levels are the values of the column difficulty, or e2h_levels bins of them',
  ],
  demo: { testbed: 'arithmetic-graded', baseline: 'grpo', method: 'grpo+e2h', metric: 'pass@1', cost: 'generated tokens', expect: 'gain' },
  slots: { prompts: easyToHard },
};
