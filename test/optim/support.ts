import { Matrix } from 'ml-matrix';
import type { ParamSpec } from '../../src/contracts/index.js';
import { applyUpdates, type GradientTransform, type Leaves, type OptState } from '../../src/optim/transform/index.js';
import { compile, foldIn, NDArray, randomKey, type Tensor } from '../../src/tensor/index.js';

/** Deterministic values in (-1, 1). */
export function noise(seed: number): () => number {
  let state = (seed * 2654435761 + 1) % 2147483647;
  return () => {
    state = (state * 48271) % 2147483647;
    return (2 * state) / 2147483647 - 1;
  };
}

export const randomArray = (shape: readonly number[], next: () => number): NDArray =>
  new NDArray('f32', shape, Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, next));

export const toMatrix = (x: NDArray): Matrix => Matrix.from1DArray(x.shape[0] as number, x.shape[1] as number, x.toNumbers());

/** The published Newton-Schulz iteration in float64 on ml-matrix, in the form of the authors (transposing tall matrices). */
export function referenceNewtonSchulz(g: Matrix, steps = 5): Matrix {
  const tall = g.rows > g.columns;
  let x = (tall ? g.transpose() : g.clone()).div(g.norm('frobenius') + 1e-7);
  for (let i = 0; i < steps; i++) {
    const a = x.mmul(x.transpose());
    const b = Matrix.mul(a, -4.775).add(Matrix.mul(a.mmul(a), 2.0315));
    x = Matrix.mul(x, 3.4445).add(b.mmul(x));
  }
  return tall ? x.transpose() : x;
}

export const spec = (role: ParamSpec['role'], shape: readonly number[]): ParamSpec => ({
  isTreeLeaf: true,
  role,
  shape,
  init: { kind: 'zeros' },
});

/** Sum over all parameters of the squared distance to 0.1 (path's position + 1), halved: its gradient is the distance. */
export const quadraticLoss = (params: Leaves<Tensor>): Tensor =>
  Object.values(params)
    .map((p, i) => {
      const distance = p.sub(0.1 * (i + 1));
      return distance.mul(distance).sum().mul(0.5);
    })
    .reduce((a, b) => a.add(b));

export interface RunOptions {
  /** loss that `lossAt` evaluates; default quadraticLoss */
  readonly loss?: (params: Leaves<Tensor>) => Tensor;
  /** seed of the steps' keys; default 7 */
  readonly seed?: number;
  readonly backend?: 'reference' | 'ort';
}

/** A transform as a compiled step, with the probe that a training loop gives. */
export function compileStep(
  transform: GradientTransform,
  specs: Leaves<ParamSpec>,
  { loss = quadraticLoss, backend = 'reference' }: RunOptions,
) {
  return compile(
    (params: Leaves<Tensor>, grads: Leaves<Tensor>, state: OptState<Tensor>, rates: Readonly<Record<string, Tensor>>, key: Tensor) => {
      const out = transform.update(grads, state, { params, specs, rates, probe: { key, lossAt: loss } });
      return { ...out, params: applyUpdates(params, out.updates), loss: loss(params) };
    },
    { backend },
  );
}

export interface RunResult {
  readonly updates: Leaves<number[]>[];
  readonly params: Leaves<NDArray>;
  readonly state: OptState<NDArray>;
  /** loss before every step */
  readonly losses: number[];
}

/** Runs a transform for some steps on the float64 reference; returns the updates of every step. Parameters move by the updates. */
export async function runTransform(
  transform: GradientTransform,
  specs: Leaves<ParamSpec>,
  start: Leaves<NDArray>,
  gradients: readonly Leaves<NDArray>[],
  rates: readonly Readonly<Record<string, number>>[],
  options: RunOptions = {},
): Promise<RunResult> {
  const step = compileStep(transform, specs, options);
  let params = start;
  let state = transform.init(specs);
  const updates: Leaves<number[]>[] = [];
  const losses: number[] = [];
  for (const [i, grads] of gradients.entries()) {
    const out = await step.run(params, grads, state, rates[i] ?? {}, foldIn(randomKey(options.seed ?? 7), i));
    params = out.params;
    state = out.state as OptState<NDArray>;
    losses.push(out.loss.item());
    updates.push(Object.fromEntries(Object.entries(out.updates).map(([path, u]) => [path, u.toNumbers()])));
  }
  step.dispose();
  return { updates, params, state, losses };
}
