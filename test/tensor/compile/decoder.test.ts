import { describe, expect, it } from 'vitest';
import { array, NDArray } from '../../../src/tensor/array.js';
import type { Tensor } from '../../../src/tensor/graph.js';
import { type CompileOptions, compile, grad } from '../../../src/tensor/index.js';
import * as ops from '../../../src/tensor/ops/index.js';
import { decoderAngles, decoderLoss, decoderShapes, decoderTokens, decoderWeights } from '../decoder.js';
import { decoderFixture } from '../golden.js';

const fixture = decoderFixture();
const c = fixture.config;
const shapes = decoderShapes(c);
const f32 = (shape: readonly number[], values: Float64Array): NDArray => new NDArray('f32', shape, Float32Array.from(values));
const angles = decoderAngles(c);
const [cos, sin] = [f32(angles.shape, angles.cos), f32(angles.shape, angles.sin)];

type Slots<T> = Readonly<Record<string, T>>;
interface State<T> {
  readonly params: Slots<T>;
  readonly first: Slots<T>;
  readonly second: Slots<T>;
}

/** Decay, and a step along the bias-corrected moments (Loshchilov and Hutter 2019, arXiv:1711.05101). */
const adamw = (w: Tensor, g: Tensor, m: Tensor, v: Tensor, correct: { m: Tensor; v: Tensor }): readonly [Tensor, Tensor, Tensor] => {
  const first = m.mul(c.beta1).add(g.mul(1 - c.beta1));
  const second = v.mul(c.beta2).add(g.mul(g).mul(1 - c.beta2));
  const step = first.div(correct.m).div(second.div(correct.v).sqrt().add(c.eps));
  return [w.mul(1 - c.lr * c.weightDecay).sub(step.mul(c.lr)), first, second];
};

/** A training step; with `calls`, the optimizer is one call for each parameter. */
const trainStep =
  (calls: boolean) =>
  (s: State<Tensor>, ids: Tensor, targets: Tensor, step: Tensor): readonly [State<Tensor>, Tensor, Tensor] => {
    const loss = decoderLoss(c, { params: s.params, ids, targets, cos: ops.constant(cos), sin: ops.constant(sin) });
    const grads = grad(loss, s.params);
    const norm = Object.values(grads)
      .map((g) => g.square().sum())
      .reduce((a, b) => a.add(b))
      .sqrt();
    const clip = ops.minimum(1, ops.div(c.clipNorm, norm.add(c.clipEps)));
    const correct = { m: ops.sub(1, ops.pow(c.beta1, step)), v: ops.sub(1, ops.pow(c.beta2, step)) };
    const update = calls ? ops.checkpoint(adamw) : adamw;
    const updated = shapes.map(([name]) => {
      const at = (slots: Slots<Tensor>): Tensor => slots[name] as Tensor;
      return [name, update(at(s.params), at(grads).mul(clip), at(s.first), at(s.second), correct)] as const;
    });
    const slot = (i: 0 | 1 | 2): Slots<Tensor> => Object.fromEntries(updated.map(([name, u]) => [name, u[i]]));
    return [{ params: slot(0), first: slot(1), second: slot(2) }, loss, norm];
  };

async function train(
  options: CompileOptions & { calls?: boolean },
): Promise<{ losses: number[]; norms: number[]; params: Slots<NDArray> }> {
  const { calls = false, ...rest } = options;
  const step = compile(trainStep(calls), rest);
  const zeros = (): Slots<NDArray> =>
    Object.fromEntries(shapes.map(([name, shape]) => [name, f32(shape, new Float64Array(shape.reduce((a, b) => a * b, 1)))]));
  let state: State<NDArray> = {
    params: Object.fromEntries(shapes.map(([name, shape], k) => [name, f32(shape, decoderWeights(k, shape))])),
    first: zeros(),
    second: zeros(),
  };
  const row = c.context + 1;
  const stream = decoderTokens(c.steps * c.batch * row, c.vocab);
  const tokens = (s: number, shift: number): NDArray =>
    array(
      Array.from({ length: c.batch }, (_, b) => stream.slice((s * c.batch + b) * row + shift).slice(0, c.context)),
      { dtype: 'i32' },
    );
  const [losses, norms]: [number[], number[]] = [[], []];
  for (let s = 0; s < c.steps; s++) {
    const [next, loss, norm] = await step.run(state, tokens(s, 0), tokens(s, 1), s + 1);
    state = next;
    losses.push(loss.item());
    norms.push(norm.item());
  }
  step.dispose();
  return { losses, norms, params: state.params };
}

const worst = (actual: readonly number[], expected: readonly number[]): number =>
  expected.reduce((w, e, i) => Math.max(w, Math.abs((actual[i] as number) - e) / Math.abs(e)), 0);

describe('a decoder trained 50 steps follows PyTorch', () => {
  it.each<[string, CompileOptions & { calls?: boolean }]>([
    ['on ONNX Runtime', {}],
    ['on ONNX Runtime, with donated state', { donate: [0] }],
    ['on ONNX Runtime, with the optimizer as calls over donated state', { donate: [0], calls: true }],
    ['on ONNX Runtime by its JavaScript binding', { backend: 'ort-node', donate: [0] }],
    ['on the reference device', { backend: 'reference', donate: [0] }],
  ])('%s', async (_, options) => {
    const { losses, norms, params } = await train(options);
    expect(losses.length).toBe(fixture.losses.length);
    expect(worst(losses, fixture.losses), 'losses').toBeLessThan(1e-4);
    expect(worst(norms, fixture.gradNorms), 'gradient norms').toBeLessThan(2e-3);
    for (const [name, w] of Object.entries(params)) {
      const norm = Math.sqrt(w.toNumbers().reduce((s, x) => s + x * x, 0));
      expect(worst([norm], [fixture.finalWeightNorms[name] as number]), name).toBeLessThan(1e-3);
    }
  });
});
