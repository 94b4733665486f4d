import jstat from 'jstat';
import { wrap } from '../compose.js';
import type { Prompts } from '../contract.js';
import { type Chooser, chosenPrompts, passRateAnchors, solveRates } from '../parts/curriculum.js';
import type { RlMethod } from './slot.js';

interface State {
  readonly anchors: (readonly [number, number])[];
  capability: number | null;
}

const posterior: Chooser<State> = {
  name: 'bots',
  candidates: 'bots_candidates',
  defaults: { bots_candidates: 0, bots_target: 0.5, bots_forget: 0.1, bots_implicit: 0.1, bots_weak: '', bots_strong: '' },
  init: () => ({ anchors: [], capability: null }),
  score: (candidates, { dataset, context: { state, tasks, number, settings }, draws }) => {
    if (state.anchors.length === 0) state.anchors.push(...passRateAnchors(dataset, settings.bots_weak, settings.bots_strong));
    const [alpha, beta] = [tasks.column('bots alpha', 1), tasks.column('bots beta', 1)];
    const drawn = candidates.map(({ id }) => jstat.jStat.beta.inv(draws.unit(), alpha[id] as number, beta[id] as number));
    return Float64Array.from(drawn, (p) => -Math.abs(p - number('bots_target')));
  },
  observe: (batch, { state, tasks, number }) => {
    const rates = solveRates(batch);
    if (state.anchors.length === 0 || rates.size === 0) return;
    const mean = (of: (id: number) => number): number => [...rates.keys()].reduce((s, id) => s + of(id), 0) / rates.size;
    const [weak, strong] = [0, 1].map((k) => mean((id) => (state.anchors[id] as readonly number[])[k] as number)) as [number, number];
    const now = (mean((id) => rates.get(id) as number) - weak) / (strong - weak + 1e-6);
    state.capability = state.capability === null ? now : 0.9 * state.capability + 0.1 * now;
    const [alpha, beta] = [tasks.column('bots alpha', 1), tasks.column('bots beta', 1)];
    const [forget, implicit, m] = [number('bots_forget'), number('bots_implicit'), batch.size / rates.size];
    for (const [id, [low, high]] of state.anchors.entries()) {
      const seen = rates.get(id);
      const guess = seen ?? Math.min(1, Math.max(0, low + (high - low) * state.capability));
      const weight = (seen === undefined ? 0 : (1 - implicit) * m) + implicit * m;
      alpha[id] = (1 - forget) * (alpha[id] as number) + forget + weight * guess;
      beta[id] = (1 - forget) * (beta[id] as number) + forget + weight * (1 - guess);
    }
  },
};

/**
 * BOTS (Shen et al. 2025, arXiv:2510.26374): a Beta posterior of every problem's solve rate, and the problems nearest to a target rate by Thompson sampling.
 *   alpha <- (1 - l) alpha + l + (1 - rho) s + rho m q,   beta <- (1 - l) beta + l + (1 - rho) f + rho m (1 - q)
 * s, f: successes and failures of m completions; q: the rate itself where it was seen, elsewhere low + c (high - low) between the pass rates of two models, the
 * capability c being matched to the step's mean (moving average). Against grpo: the prompts.
 */
export const bots: RlMethod = {
  id: 'bots',
  summary: 'Thompson sampling of problems near a target solve rate from Beta posteriors',
  seed: 'P011',
  paper: 'arXiv:2510.26374',
  equation: 'p_k ~ Beta(alpha_k, beta_k), take the smallest |p_k - target|; alpha <- (1-l) alpha + l + (1-rho) s + rho m q',
  parent: 'grpo',
  defaults: { bots_target: 0.5, bots_forget: 0.1, bots_implicit: 0.1 },
  knobs: {
    bots_target: 'solve rate that is looked for',
    bots_forget: 'l: share of what was known that a step takes away',
    bots_implicit: 'rho: weight of interpolated rates against seen ones',
  },
  limits: [{ slot: 'prompts', settings: { bots_candidates: 1 }, tolerance: 0 }],
  provenance: 'repo',
  assumes: [
    'without pass rates of two models, anchors are 1 - difficulty (scaled to [0, 1]) and 1',
    'target 0.5 (half of the completions), where the code has 1 and its examples 0.9; l = rho = 0.1',
  ],
  demo: { testbed: 'arithmetic-graded', baseline: 'grpo', method: 'grpo+bots', metric: 'pass@1', cost: 'generated tokens', expect: 'gain' },
  slots: { prompts: wrap((inner: Prompts) => chosenPrompts(inner, posterior)) },
};
