import { wrap } from '../compose.js';
import type { Prompts } from '../contract.js';
import { type Chooser, chosenPrompts, solveRates } from '../parts/curriculum.js';
import { filterStep, newSolveStates, type SolveStates, stateOf } from '../parts/solveStates.js';
import type { RlMethod } from './slot.js';

const partlySolved: Chooser<{ readonly models: Record<string, SolveStates> }> = {
  name: 'dps',
  candidates: 'dps_candidates',
  defaults: { dps_candidates: 8, dps_prior: 1, dps_decay: 0.5 },
  init: () => ({ models: {} }),
  score: (candidates, { context: { state, number } }) =>
    Float64Array.from(candidates, ({ id }) => {
      state.models[id] ??= newSolveStates(number('dps_prior'));
      return state.models[id].next[1] as number;
    }),
  observe: (batch, { state, number }) => {
    const settings = { prior: number('dps_prior'), decay: number('dps_decay') };
    const rates = solveRates(batch);
    for (const id of rates.keys()) state.models[id] ??= newSolveStates(settings.prior);
    for (const [id, model] of Object.entries(state.models)) {
      const rate = rates.get(Number(id));
      filterStep(model, rate === undefined ? undefined : stateOf(rate), settings);
    }
  },
};

/**
 * Dynamics-predictive sampling (Mao et al. 2026, arXiv:2603.10887): a hidden Markov model of each problem with the states unsolved, partly solved and solved;
 * of the candidates those are sampled that are most probably partly solved in this step, so that no completion is spent on finding out.
 *   P(z_t) = E[transition] P(z_{t-1} | what was seen),   take the highest P(z_t = partly solved)
 * Against grpo: the prompts.
 */
export const dps: RlMethod = {
  id: 'dps',
  summary: 'problems that a hidden Markov model predicts to be partly solved',
  seed: 'P044',
  paper: 'arXiv:2603.10887',
  equation: 'counts <- decay counts + (1 - decay) prior + xi, next = E[P] state, take the highest next(partly solved)',
  parent: 'grpo',
  defaults: { dps_candidates: 8, dps_decay: 0.5 },
  knobs: {
    dps_candidates: 'candidates for each problem that is asked for; 0 = all problems',
    dps_decay: 'share of the counts of transitions that a step keeps',
  },
  limits: [{ slot: 'prompts', settings: { dps_candidates: 1 }, tolerance: 0 }],
  provenance: 'repo',
  assumes: ['decay 0.5 as for countdown (0.7 for mathematics)', 'ties, as at the start, are settled by the order of the candidates'],
  demo: { testbed: 'arithmetic-graded', baseline: 'grpo', method: 'grpo+dps', metric: 'pass@1', cost: 'generated tokens', expect: 'gain' },
  slots: { prompts: wrap((inner: Prompts) => chosenPrompts(inner, partlySolved)) },
};
