import type { ParamSpec } from '../../src/contracts/index.js';
import type { GradientTransform, Leaves, OptState } from '../../src/optim/transform/index.js';
import { compile, NDArray, type Tensor } from '../../src/tensor/index.js';

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

export const spec = (role: ParamSpec['role'], shape: readonly number[], fused?: number): ParamSpec => ({
  isTreeLeaf: true,
  role,
  shape,
  init: { kind: 'zeros' },
  ...(fused === undefined ? {} : { fused }),
});

/** Runs a transform for some steps on the float64 reference; returns the updates of every step. Parameters move by the updates. */
export async function runTransform(
  transform: GradientTransform,
  specs: Leaves<ParamSpec>,
  start: Leaves<NDArray>,
  gradients: readonly Leaves<NDArray>[],
  rates: readonly Readonly<Record<string, number>>[],
): Promise<{ updates: Leaves<number[]>[]; params: Leaves<NDArray>; state: OptState<NDArray> }> {
  const step = compile(
    (params: Leaves<Tensor>, grads: Leaves<Tensor>, state: OptState<Tensor>, knobs: Readonly<Record<string, Tensor>>) => {
      const out = transform.update(grads, state, { params, specs, rates: knobs });
      const moved = Object.fromEntries(Object.entries(params).map(([path, p]) => [path, p.add(out.updates[path] ?? 0)]));
      return { ...out, params: moved };
    },
    { backend: 'reference' },
  );
  let params = start;
  let state = transform.init(specs);
  const updates: Leaves<number[]>[] = [];
  for (const [i, grads] of gradients.entries()) {
    const out = await step.run(params, grads, state, rates[i] ?? {});
    params = out.params;
    state = out.state as OptState<NDArray>;
    updates.push(Object.fromEntries(Object.entries(out.updates).map(([path, u]) => [path, u.toNumbers()])));
  }
  step.dispose();
  return { updates, params, state };
}
