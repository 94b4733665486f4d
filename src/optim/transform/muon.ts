import type { ParamSpec } from '../../contracts/index.js';
import { zeros } from '../../tensor/array.js';
import type { Tensor } from '../../tensor/graph.js';
import { scaleByAdam } from './adam.js';
import { adamw } from './adamw.js';
import { chain, leafAt, mapLeaves, partition } from './compose.js';
import { addDecayedWeights, countElements, isDecayed, scaleByRate } from './pieces.js';
import type { GradientTransform, Leaves, OptimizerMethod } from './slot.js';

/** Coefficients of the quintic iteration, chosen by the authors for a steep slope at zero rather than for convergence to one. */
const [a, b, c] = [3.4445, -4.775, 2.0315];

/**
 * Approximate orthogonalisation of matrices [..., R, C] by Newton-Schulz: with G = U S V^T the result is about U V^T, singular values in [0.7, 1.2]
 * (small ones need more steps). X0 = G / (|G| + 1e-7);  X = a X + (b A + c A A) X with A = X X^T.
 * For R > C the equal form with A = X^T X on the right keeps A small.
 */
export function newtonSchulz(g: Tensor, steps: number): Tensor {
  const [rows, columns] = g.shape.slice(-2) as [number, number];
  let x = g.div(
    g
      .mul(g)
      .sum({ axis: [-2, -1], keepDims: true })
      .sqrt()
      .add(1e-7),
  );
  for (let i = 0; i < steps; i++) {
    const wide = rows <= columns;
    const gram = wide ? x.matmul(x, { transB: true }) : x.matmul(x, { transA: true });
    const polynomial = gram.matmul(gram, { alpha: c }).add(gram.mul(b));
    x = x.mul(a).add(wide ? polynomial.matmul(x) : x.matmul(polynomial));
  }
  return x;
}

/** Splits a fused [D, k*F] into [k, D, F] and back, so that every matrix is treated by itself. */
const unfuse = (x: Tensor, [d, kf]: readonly [number, number], k: number): Tensor => x.reshape([d, k, kf / k]).transpose([1, 0, 2]);
const refuse = (x: Tensor, [d, kf]: readonly [number, number]): Tensor => x.transpose([1, 0, 2]).reshape([d, kf]);

/** Momentum, then orthogonalisation, then sqrt(max(1, fan_out / fan_in)); see muon. */
export const scaleByMuon = (momentum: number, nesterov: boolean, steps: number): GradientTransform => ({
  init: (specs) => mapLeaves(specs, ({ shape }) => zeros(shape)),
  update: (grads, state, { specs }) => {
    const before = state as Leaves<Tensor>;
    const after = mapLeaves(grads, (g, path) =>
      leafAt(before, path)
        .mul(momentum)
        .add(g.mul(1 - momentum)),
    );
    const updates = mapLeaves(grads, (g, path) => {
      const m = leafAt(after, path);
      const direction = nesterov ? g.mul(1 - momentum).add(m.mul(momentum)) : m;
      const { shape, fused = 1 } = leafAt(specs, path);
      const [fanIn, width] = shape as [number, number];
      const size = [fanIn, width] as const;
      const scale = Math.sqrt(Math.max(1, width / fused / fanIn));
      const orthogonal = fused === 1 ? newtonSchulz(direction, steps) : refuse(newtonSchulz(unfuse(direction, size, fused), steps), size);
      return scale === 1 ? orthogonal : orthogonal.mul(scale);
    });
    return { updates, state: after };
  },
});

const isHidden = (spec: ParamSpec): boolean => spec.role === 'matrix';

/** Newton-Schulz on one R x C matrix, r the smaller side and s the larger: 5 steps of r r s, r r r and r r s multiply-adds. */
function newtonSchulzFlops({ shape, fused = 1 }: ParamSpec, steps: number): number {
  const [rows, width] = shape as [number, number];
  const [r, s] = [rows, width / fused].sort((x, y) => x - y) as [number, number];
  return fused * steps * 2 * (2 * r * r * s + r * r * r);
}

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
    'fused projections are orthogonalised one by one: q, k, v, gate and up',
    'one weight_decay for both groups, multiplied by the learning rate of each',
    "AdamW's betas and epsilon are those of adamw, not the repository's 0.95 and 1e-10",
  ],
  create: (s) =>
    partition(
      {
        hidden: chain(
          scaleByMuon(Number(s.momentum), s.nesterov === true, Number(s.ns_steps)),
          addDecayedWeights(Number(s.weight_decay), isDecayed),
          scaleByRate('learning_rate'),
        ),
        rest: chain(
          scaleByAdam(Number(s.adam_beta1), Number(s.adam_beta2), Number(s.adam_epsilon)),
          addDecayedWeights(Number(s.weight_decay), isDecayed),
          scaleByRate('adamw_learning_rate'),
        ),
      },
      (spec) => (isHidden(spec) ? 'hidden' : 'rest'),
    ),
  flops: (specs, s) => {
    const [hidden, rest] = [true, false].map((side) =>
      Object.fromEntries(Object.entries(specs).filter(([, spec]) => isHidden(spec) === side)),
    );
    const orthogonalisation = Object.values(hidden ?? {}).reduce((n, spec) => n + newtonSchulzFlops(spec, Number(s.ns_steps)), 0);
    return orthogonalisation + 11 * countElements(hidden ?? {}) + adamw.flops(rest ?? {}, s);
  },
};
