import type { Settings } from '../../contracts/index.js';
import type { Tensor } from '../../tensor/graph.js';
import { adamw } from './adamw.js';
import { chain, leafAt, mapLeaves } from './compose.js';
import { hiddenAndRest, hiddenAndRestFlops } from './hidden.js';
import { type MomentStore, wholeMoment } from './moment.js';
import { newtonSchulzFlops, orthogonalStep } from './newtonSchulz.js';
import { addDecayedWeights, isDecayed, scaleByRate, sizeOf } from './pieces.js';
import type { GradientTransform, Leaves, OptimizerMethod, OptState } from './slot.js';

/** Momentum, then orthogonalisation, then sqrt(max(1, fan_out / fan_in)); see muon. `store` says how the momentum is kept. */
export function scaleByMuon(s: Settings, store: MomentStore = wholeMoment): GradientTransform {
  const momentum = Number(s.momentum);
  return {
    init: (specs) => mapLeaves(specs, (spec) => store.init(spec)),
    update: (grads, state, { specs }) => {
      const before = state as Leaves<OptState<Tensor>>;
      const after: Record<string, OptState<Tensor>> = {};
      const updates = mapLeaves(grads, (g, path) => {
        const spec = leafAt(specs, path);
        const kept = leafAt(before, path);
        const m = store
          .read(kept, spec)
          .mul(momentum)
          .add(g.mul(1 - momentum));
        after[path] = store.write(m, g, kept, spec);
        const direction = s.nesterov === true ? g.mul(1 - momentum).add(m.mul(momentum)) : m;
        return orthogonalStep(direction, spec, Number(s.ns_steps));
      });
      return { updates, state: after };
    },
  };
}

/** Muon with its momentum kept by `store`. */
export const muonTransform = (s: Settings, store?: MomentStore): GradientTransform =>
  hiddenAndRest(
    chain(scaleByMuon(s, store), addDecayedWeights(Number(s.weight_decay), isDecayed), scaleByRate('learning_rate')),
    s,
    'adamw_learning_rate',
  );

/**
 * Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/; formulas compared with github.com/KellerJordan/Muon at 00ba60d). For hidden matrices:
 *   m = mu m + (1 - mu) g,   d = (1 - mu) g + mu m (Nesterov),   p = p - learning_rate * (sqrt(max(1, fan_out / fan_in)) NewtonSchulz5(d) + weight_decay * p)
 * Against adamw: hidden matrices get the orthogonalised momentum; embeddings, the tied head, gains and biases keep AdamW at its own rate.
 * The original states the factor as max(1, rows / columns) of weights stored [out, in]; ours are stored [in, out]. (Moonlight's factor is 0.2 sqrt(max(in, out)).)
 */
export const muon: OptimizerMethod = {
  id: 'muon',
  summary: 'orthogonalised momentum for hidden matrices, AdamW for the rest',
  paper: 'https://kellerjordan.github.io/posts/muon/',
  equation: 'm = mu m + (1-mu) g, d = (1-mu) g + mu m, W = W - lr (sqrt(max(1, fan_out/fan_in)) NewtonSchulz5(d) + weight_decay W)',
  parent: 'adamw',
  defaults: { ...adamw.defaults, learning_rate: 0.02, adamw_learning_rate: 1e-3, momentum: 0.95, nesterov: true, ns_steps: 5 },
  rates: ['learning_rate', 'adamw_learning_rate'],
  limits: [{ settings: {}, inputs: 'no hidden matrices', tolerance: 0 }],
  provenance: 'repo',
  assumes: [
    'float32 throughout (the original iterates in bfloat16)',
    'one weight_decay for both groups, multiplied by the learning rate of each',
    "AdamW's betas and epsilon are those of adamw, not the repository's 0.95 and 1e-10",
  ],
  create: (s) => muonTransform(s),
  flops: (specs, s) => hiddenAndRestFlops(specs, s, (spec) => newtonSchulzFlops(spec, Number(s.ns_steps)) + 11 * sizeOf(spec)),
};
