import type { ParamSpec, Settings } from '../../contracts/index.js';
import { initParams } from '../../nn/init.js';
import { full, NDArray } from '../../tensor/array.js';
import { VitroError } from '../../tensor/errors.js';
import type { Tensor } from '../../tensor/graph.js';
import { randomKey } from '../../tensor/random/threefry.js';
import { orthonormalColumns } from './graphLinalg.js';
import { fromGrid, type Grid, type GridBits, toGrid, zeroGrid } from './gridQuant.js';
import { hiddenAndRestFlops } from './hidden.js';
import type { MomentStore } from './moment.js';
import { muon, muonTransform } from './muon.js';
import { newtonSchulzFlops } from './newtonSchulz.js';
import { sizeOf } from './pieces.js';
import type { OptimizerMethod } from './slot.js';

/** m = left right^T + residual, all of them quantized; left [m, k] orthonormal, right [n, k]. */
type Kept<T> = { readonly residual: Grid<T>; readonly left: Grid<T>; readonly right: Grid<T> };

const shapeOf = ({ shape }: ParamSpec): readonly [number, number] => shape as readonly [number, number];

/** Size of the subspace that is kept at 8 bits. */
function subspaceOf(spec: ParamSpec, ratio: number): number {
  if (!(ratio > 0 && ratio <= 1)) throw new VitroError(`muon-4bit: rank_ratio must lie above 0 and at most at 1, got ${ratio}`);
  return Math.max(1, Math.round(Math.min(...spec.shape) * ratio));
}

function bitsOf(s: Settings): GridBits {
  if (s.residual_bits === 4 || s.residual_bits === 8) return s.residual_bits;
  throw new VitroError(`muon-4bit: residual_bits must be 4 or 8, got ${s.residual_bits}`);
}

/** A random first guess of the right singular vectors, [n, k] at 8 bits with all scales 1. */
function firstGuess(spec: ParamSpec, n: number, k: number): Grid<NDArray> {
  const normal = initParams<ParamSpec>({ ...spec, shape: [n, k], init: { kind: 'normal', std: 1 / 3 } }, randomKey(0));
  const bytes = Uint8Array.from(normal.toNumbers(), (x) => 128 + Math.round(127 * Math.min(1, Math.max(-1, x))));
  const ones = zeroGrid([n, k], 8);
  return { packed: new NDArray('u8', [n, k], bytes), row: full(ones.row.shape, 1), column: full(ones.column.shape, 1) };
}

const unitColumns = (x: Tensor): Tensor => x.div(x.mul(x).sum({ axis: 0, keepDims: true }).sqrt().maximum(1e-30));

/** The moment as an 8-bit top subspace, followed by one warm-started power iteration a step, and a residual of few bits. */
function graspMoment(s: Settings): MomentStore {
  const bits = bitsOf(s);
  const rank = (spec: ParamSpec): number => subspaceOf(spec, Number(s.rank_ratio));
  const right = (kept: Kept<Tensor>, spec: ParamSpec): Tensor => fromGrid(kept.right, [shapeOf(spec)[1], rank(spec)], 8);
  return {
    init: (spec) => {
      const [m, n] = shapeOf(spec);
      const k = rank(spec);
      return { residual: zeroGrid([m, n], bits), left: zeroGrid([m, k], 8), right: firstGuess(spec, n, k) };
    },
    read: (state, spec) => {
      const kept = state as Kept<Tensor>;
      const left = fromGrid(kept.left, [shapeOf(spec)[0], rank(spec)], 8);
      return fromGrid(kept.residual, shapeOf(spec), bits).add(left.matmul(right(kept, spec), { transB: true }));
    },
    write: (m, _, before, spec) => {
      const left = orthonormalColumns(m.matmul(unitColumns(right(before as Kept<Tensor>, spec))));
      const image = m.matmul(left, { transA: true });
      const residual = m.sub(left.matmul(image, { transB: true }));
      return { residual: toGrid(residual, bits), left: toGrid(left, 8), right: toGrid(image, 8) };
    },
  };
}

/** The power iteration (two products with M, Gram-Schmidt), the product of its factors at both ends, and two passes of quantization. */
function graspFlops(spec: ParamSpec, s: Settings): number {
  const [m, n] = shapeOf(spec);
  const k = subspaceOf(spec, Number(s.rank_ratio));
  return 8 * m * n * k + 8 * m * k * k + 12 * m * n;
}

/**
 * 4-bit-Muon-GRASP (Wu et al., "Achieving low-bit Muon through subspace preservation and grid quantization", ICLR 2026, catalogue P356). Between
 * steps the momentum M of a hidden matrix is kept as P R^T + E: its top singular subspace, followed by one power iteration from the last one, at
 * 8 bits, and the residual at 4 bits, all by grid quantization (gridQuant.ts):
 *   Q = R / |columns of R|,   P = orthonormal(M Q),   R = M^T P,   E = M - P R^T
 * Orthogonalisation sees the M of this step in full precision. Against muon: what is kept of the momentum between steps.
 */
export const muon4bit: OptimizerMethod = {
  id: 'muon-4bit',
  summary: 'Muon with 4-bit momentum: grid quantization, the top singular subspace at 8 bits',
  seed: 'P356',
  paper: 'https://openreview.net/forum?id=g2l9bg9DWx',
  equation:
    'M = P R^T + E between steps: P = orth(M Q), Q = unit columns of R, R = M^T P at 8 bits, E = M - P R^T at 4 bits, x / min(row max, column max)',
  parent: 'muon',
  defaults: { ...muon.defaults, rank_ratio: 1 / 16, residual_bits: 4 },
  knobs: {
    rank_ratio: 'size of the subspace at 8 bits as a share of the smaller side',
    residual_bits: '4 or 8',
  },
  rates: muon.rates,
  limits: [
    { settings: {}, inputs: 'no hidden matrices', tolerance: 0 },
    { settings: { residual_bits: 8 }, tolerance: 5e-5 },
  ],
  provenance: 'paper',
  assumes: [
    'the code was not at hand; the algorithm of the paper is taken as secondary sources quote it: blocks of 128 x 128, rank 1/16, whole numbers from -7 to 7 and from -127 to 127',
    'the residual is that of P and R before they are quantized, as in the algorithm',
    'scales are float32, so a small matrix needs more than 4 bits an element: 12% more at 128 x 128 for the residual',
    "momentum as a running mean and Nesterov's form, as in muon (the paper sums, and orthogonalises the sum)",
    'the basis comes from Gram-Schmidt twice (the paper: QR), the first guess from a fixed key',
    'gains, biases and embeddings keep AdamW in float32',
  ],
  demo: { testbed: 'shakespeare', baseline: 'muon', metric: 'val/bpb', cost: 'tokens', expect: 'equivalent' },
  create: (s) => muonTransform(s, graspMoment(s)),
  flops: (specs, s) =>
    hiddenAndRestFlops(specs, s, (spec) => newtonSchulzFlops(spec, Number(s.ns_steps)) + graspFlops(spec, s) + 11 * sizeOf(spec)),
};
