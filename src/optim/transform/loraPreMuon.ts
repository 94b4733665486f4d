import type { Settings } from '../../contracts/index.js';
import type { Tensor } from '../../tensor/graph.js';
import { hiddenAndRestFlops } from './hidden.js';
import { type Factors, initFactors, lowRankProduct, regressFactors, regressFlops } from './lowRank.js';
import type { MomentStore } from './moment.js';
import { muon, muonTransform } from './muon.js';
import { newtonSchulzFlops } from './newtonSchulz.js';
import { sizeOf } from './pieces.js';
import type { OptimizerMethod } from './slot.js';

/** A moment kept as factors that are regressed on the gradients; (1 - gamma)^2 = momentum, so that their product shrinks like the moment. */
const lowRankMoment = (s: Settings): MomentStore => ({
  init: (spec) => initFactors(spec, Number(s.rank)),
  read: (kept) => lowRankProduct(kept as Factors<Tensor>),
  write: (_, g, before) => regressFactors(before as Factors<Tensor>, g, 1 - Math.sqrt(Number(s.momentum))),
});

/**
 * LoRA-Pre on Muon (Wang et al., arXiv:2602.24283, catalogue P470): m = mu B A + (1 - mu) g with the factors of loraPre, then Muon's step.
 * Against muon: the momentum of hidden matrices is kept as factors of a small rank.
 */
export const loraPreMuon: OptimizerMethod = {
  id: 'lora-pre-muon',
  summary: 'Muon with the momentum kept as low-rank factors',
  seed: 'P470',
  paper: 'arXiv:2602.24283',
  equation: 'm = mu BA + (1-mu) g; B = (1-y) B + y g A^T (AA^T)^-1, A = (1-y) A + y (B^TB)^-1 B^T g, (1-y)^2 = mu; then as muon',
  parent: 'muon',
  defaults: { ...muon.defaults, rank: 16 },
  knobs: { rank: 'rank of the factors, at most the smaller side of a matrix' },
  rates: muon.rates,
  limits: [{ settings: {}, inputs: 'no hidden matrices', tolerance: 0 }],
  provenance: 'paper',
  assumes: [
    "the momentum is a running mean here and a sum in the paper, which scales the factors' gradients by 1 / (1 - mu); the orthogonalised step is the same",
    "Nesterov's form as in muon",
    'the assumptions of lora-pre',
  ],
  demo: { testbed: 'shakespeare', baseline: 'muon', metric: 'val/bpb', cost: 'tokens', expect: 'equivalent' },
  create: (s) => muonTransform(s, lowRankMoment(s)),
  flops: (specs, s) =>
    hiddenAndRestFlops(
      specs,
      s,
      (spec) => newtonSchulzFlops(spec, Number(s.ns_steps)) + regressFlops(spec, Number(s.rank)) + 11 * sizeOf(spec),
    ),
};
