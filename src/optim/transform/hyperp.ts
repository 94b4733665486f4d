import type { Settings } from '../../contracts/index.js';
import { VitroError } from '../../tensor/errors.js';
import type { Tensor } from '../../tensor/graph.js';
import { chain, leafAt, stateless } from './compose.js';
import { hiddenAndRest, hiddenAndRestFlops } from './hidden.js';
import { muon, scaleByMuon } from './muon.js';
import { newtonSchulzFlops } from './newtonSchulz.js';
import { sizeOf } from './pieces.js';
import type { GradientTransform, OptimizerMethod } from './slot.js';

const frobenius = (x: Tensor): Tensor => x.mul(x).sum().sqrt();

/** One step on the Frobenius sphere through W: W' = |W| N(W - rate |W| N(u)) with N(x) = x / |x|; the update is W' - W. */
const sphereStep = (rate: string, factor: number): GradientTransform =>
  stateless((u, path, { params, rates }) => {
    const w = leafAt(params, path);
    const radius = frobenius(w);
    const length = leafAt(rates, rate).mul(factor).mul(radius).div(frobenius(u).maximum(1e-30));
    const moved = w.sub(u.mul(length));
    // a matrix of zeros has no direction to keep: it stays
    return moved.mul(radius.div(frobenius(moved).maximum(1e-30))).sub(w);
  });

/** Ratio of a size to its base, both positive. */
function ratio(s: Settings, key: string, base: string): number {
  const [size, reference] = [Number(s[key]), Number(s[base])];
  if (!(size > 0 && reference > 0)) throw new VitroError(`hyperp: ${key} and ${base} must be positive, got ${size} and ${reference}`);
  return size / reference;
}

/** Factors by which HyperP carries rates over from the base size: depth for all parameters, depth and tokens for hidden matrices. */
export function transferFactors(s: Settings): { readonly hidden: number; readonly rest: number } {
  const depth = Math.sqrt(1 / ratio(s, 'num_hidden_layers', 'base_num_hidden_layers'));
  return { hidden: depth * ratio(s, 'train_tokens', 'base_train_tokens') ** Number(s.token_exponent), rest: depth };
}

/**
 * HyperP (Ren et al., "Rethinking Language Model Scaling under Transferable Hypersphere Optimization", arXiv:2603.28743, catalogue S14): Muon on
 * Frobenius spheres (Wen et al. 2025, "MuonH") with one rate for all sizes. For hidden matrices, with N(x) = x / |x| and u of muon:
 *   W = |W| N(W - lr |W| N(u)),   lr = learning_rate sqrt(base_layers / layers) (tokens / base_tokens)^-0.32
 * Against muon: a step turns the matrix by the angle lr and leaves its norm, that of its start, as it was; so there is no weight decay on it,
 * and the rate follows depth and tokens (not width). Other parameters keep AdamW with the factor of depth. Code compared with
 * github.com/microsoft/ArchScale at c2ec1d6.
 */
export const hyperp: OptimizerMethod = {
  id: 'hyperp',
  summary: 'Muon on spheres of fixed norm, with a rate that carries over depth and tokens',
  seed: 'S14',
  paper: 'arXiv:2603.28743',
  equation: 'W = |W| N(W - lr |W| N(u)), lr = lr0 sqrt(layers0 / layers) (tokens / tokens0)^-0.32',
  parent: 'muon',
  defaults: {
    ...muon.defaults,
    learning_rate: 0.016,
    weight_decay: 0,
    train_tokens: 10.4e9,
    base_train_tokens: 10.4e9,
    token_exponent: -0.32,
    num_hidden_layers: 8,
    base_num_hidden_layers: 8,
  },
  knobs: {
    learning_rate: 'angle of a step at the base size (0.016 at 8 layers and 10.4e9 tokens in the paper)',
    weight_decay: 'of embeddings, gains and biases only (the paper has 0)',
    train_tokens: 'tokens of the run; equal to base_train_tokens = no transfer',
    num_hidden_layers: 'layers of the model; equal to base_num_hidden_layers = no transfer',
    token_exponent: 'fitted by the paper',
  },
  rates: ['learning_rate', 'adamw_learning_rate'],
  limits: [{ settings: { weight_decay: 0 }, inputs: 'no hidden matrices', tolerance: 0 }],
  provenance: 'repo',
  assumes: [
    "the sphere is the one that the matrix stands on, as in the repository: rounding apart, that of its start; so fine-tuning keeps the checkpoint's norms",
    "Muon's coefficients of Newton-Schulz (the repository has a sequence of five); factors in front of u vanish in N(u)",
    'tokens scale the rate of hidden matrices alone, as in the table of the paper (the repository scales all rates)',
    'the tied head counts as an embedding (AdamW); the paper also puts an untied head on a sphere',
    'SqrtGate, the part for mixtures of experts, belongs to the router and is not here',
  ],
  demo: { testbed: 'shakespeare', baseline: 'muon', metric: 'val/bpb', cost: 'tokens', expect: 'gain' },
  create: (s) => {
    const { hidden, rest } = transferFactors(s);
    return hiddenAndRest(chain(scaleByMuon(s), sphereStep('learning_rate', hidden)), s, 'adamw_learning_rate', rest);
  },
  flops: (specs, s) => hiddenAndRestFlops(specs, s, (spec) => newtonSchulzFlops(spec, Number(s.ns_steps)) + 17 * sizeOf(spec)),
};
