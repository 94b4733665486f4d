import { VitroError } from '../../../tensor/errors.js';
import type { Prompts } from '../contract.js';
import { deviation } from './advantage.js';
import { probe, someRows, subset } from './probe.js';

interface Shots {
  /** rows of the chosen problems; empty until the first step */
  rows: number[];
}

/**
 * Trains on `shots` problems only, over and over (Wang et al. 2025, arXiv:2504.20571). shot_rule says which: `first` = the first rows of the data;
 * `variance` = those of probe_problems random ones whose rewards vary most over num_generations completions before the first step.
 */
export const fewShots = (inner: Prompts): Prompts<Shots> => ({
  name: `few ${inner.name}`,
  defaults: { ...inner.defaults, shots: 1, shot_rule: 'variance', probe_problems: 16 },
  needs: inner.needs,
  init: () => ({ rows: [] }),
  next: async (count, dataset, context) => {
    const { state, settings } = context;
    const shots = Math.min(Math.max(1, context.number('shots')), dataset.length);
    if (state.rows.length === 0) {
      if (settings.shot_rule === 'first') state.rows = Array.from({ length: shots }, (_, i) => i);
      else if (settings.shot_rule === 'variance') {
        const rows = someRows(dataset, Math.max(shots, context.number('probe_problems')), context);
        const problems = rows.map((row) => dataset.prompt(row));
        const spread = (await probe(problems, context.number('num_generations'), context)).map((own) =>
          deviation(own.map((s) => s.reward)),
        );
        const order = [...rows.keys()].sort((a, b) => (spread[b] as number) - (spread[a] as number) || a - b);
        state.rows = order.slice(0, shots).map((i) => rows[i] as number);
        context.note(`Trains on the rows ${state.rows.join(', ')} of the data alone.`);
      } else throw new VitroError(`shot_rule must be first or variance, got ${settings.shot_rule}`);
    }
    return inner.next(count, subset(dataset, state.rows), context.of(inner));
  },
  observe: (batch, context) => inner.observe?.(batch, context.of(inner)),
});
