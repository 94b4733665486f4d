import { expect, it } from 'vitest';
import { evaluate, type RefArray, refArray } from '../../src/tensor/reference/index.js';
import { decoderAngles, decoderGraph, decoderShapes, decoderTokens, decoderWeights } from './decoder.js';
import { decoderFixture } from './golden.js';

const normOf = (arrays: readonly Float64Array[]): number =>
  Math.sqrt(arrays.reduce((total, a) => total + a.reduce((sum, x) => sum + x * x, 0), 0));

it('a decoder trained in the reference follows PyTorch for 50 AdamW steps', () => {
  const fixture = decoderFixture();
  const c = fixture.config;
  const shapes = decoderShapes(c);
  const graph = decoderGraph(c);
  const weights = shapes.map(([, shape], k) => decoderWeights(k, shape));
  const first = weights.map((w) => new Float64Array(w.length));
  const second = weights.map((w) => new Float64Array(w.length));
  const row = c.context + 1;
  const stream = decoderTokens(c.steps * c.batch * row, c.vocab);
  expect(Array.from({ length: c.batch }, (_, b) => stream.slice(b * row, (b + 1) * row))).toEqual(fixture.firstTokens);
  const angles = decoderAngles(c);
  const tables = [refArray('f32', angles.shape, angles.cos), refArray('f32', angles.shape, angles.sin)];

  for (let step = 0; step < c.steps; step++) {
    const batch = (shift: number): RefArray => {
      const ids = Array.from({ length: c.batch }, (_, b) => stream.slice((step * c.batch + b) * row + shift).slice(0, c.context));
      return refArray('i32', [c.batch, c.context], Float64Array.from(ids.flat()));
    };
    const params = shapes.map(([, shape], k) => refArray('f32', shape, weights[k] as Float64Array));
    const [loss, ...grads] = evaluate(graph, [...params, batch(0), batch(1), ...tables]).map((a) => a.data);
    const norm = normOf(grads);
    expect(Math.abs((loss?.[0] as number) - (fixture.losses[step] as number)), `loss of step ${step}`).toBeLessThan(1e-9);
    expect(Math.abs(norm - (fixture.gradNorms[step] as number)), `gradient norm of step ${step}`).toBeLessThan(1e-8);
    const clip = Math.min(1, c.clipNorm / (norm + c.clipEps));
    shapes.forEach(([name], k) => {
      const [w, g, m, v] = [weights[k], grads[k], first[k], second[k]] as [Float64Array, Float64Array, Float64Array, Float64Array];
      if (step === 0) expect(normOf([g]), name).toBeCloseTo(fixture.firstGradNorms[name] as number, 10);
      for (let i = 0; i < w.length; i++) {
        const gi = clip * (g[i] as number);
        m[i] = c.beta1 * (m[i] as number) + (1 - c.beta1) * gi;
        v[i] = c.beta2 * (v[i] as number) + (1 - c.beta2) * gi * gi;
        const mhat = (m[i] as number) / (1 - c.beta1 ** (step + 1));
        const vhat = (v[i] as number) / (1 - c.beta2 ** (step + 1));
        w[i] = (w[i] as number) * (1 - c.lr * c.weightDecay) - (c.lr * mhat) / (Math.sqrt(vhat) + c.eps);
      }
    });
  }
  shapes.forEach(([name], k) => {
    expect(normOf([weights[k] as Float64Array]), name).toBeCloseTo(fixture.finalWeightNorms[name] as number, 8);
  });
});
