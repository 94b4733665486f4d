import { describe, expect, it } from 'vitest';
import type { ExampleSet } from '../../../src/data/examples/index.js';
import type { ParamTree } from '../../../src/nn/param.js';
import { compile, NDArray, type Tensor } from '../../../src/tensor/index.js';
import type { BatchTensors } from '../../../src/train/objective/index.js';
import { type RewardMethod, rewardModels, rewardObjective } from '../../../src/train/reward/index.js';
import { patchReward, RewardScorer } from '../../../src/train/reward.js';
import { batchOf, chains, pairs } from '../support/examples.js';
import { decoderParams, lossRunner, model } from '../support/lossRun.js';

const params = decoderParams(3);
const states = compile((weights: ParamTree<Tensor>, b: BatchTensors) => model.hidden(weights, b.inputs), { backend: 'reference' });
/** Hidden states [row][place][d] of a set, a sequence a row. */
async function hiddenOf(set: ExampleSet): Promise<number[][][]> {
  const { extra: _, ...tokens } = batchOf(set);
  return ((await states.run(params as never, tokens as never)) as unknown as NDArray).toNested() as number[][][];
}
const weight = (columns: number, shift = 0): NDArray =>
  new NDArray(
    'f32',
    [8, columns],
    Float32Array.from({ length: 8 * columns }, (_, i) => Math.sin(i + 1 + shift)),
  );
const times = (h: readonly number[], w: NDArray): number[] => {
  const [columns, values] = [w.shape[1] as number, w.toNumbers()];
  return Array.from({ length: columns }, (_, c) => h.reduce((s, x, d) => s + x * (values[d * columns + c] as number), 0));
};
const patched = (id: string, settings: Record<string, number | boolean | string | readonly number[]> = {}) => {
  const method = rewardModels[id] as RewardMethod;
  return patchReward([{ method, settings: { ...method.defaults, ...settings } }]);
};
const run = (id: string, settings: Parameters<typeof patched>[1], own: ParamTree<NDArray>, set: ExampleSet) =>
  lossRunner(model, rewardObjective(patched(id, settings)))({ params, own, batch: batchOf(set) });
const mean = (x: readonly number[]): number => x.reduce((a, b) => a + b, 0) / x.length;
const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
const lengths = pairs.examples.flatMap(({ sequences }) => sequences.map(({ ids }) => ids.length));
const lasts = async (): Promise<number[][]> => (await hiddenOf(pairs)).map((row, i) => row[(lengths[i] as number) - 1] as number[]);
const score = { weight: weight(1) };

describe('reward models, as plain loops have them', () => {
  it('bradley-terry: logistic loss of the difference at the last tokens, and the term that centres rewards', async () => {
    const r = (await lasts()).map((h) => times(h, score.weight)[0] as number);
    const [c, d] = [0, 1].map((j) => r.filter((_, i) => i % 2 === j)) as [number[], number[]];
    const got = await run('bradley-terry', { center_rewards_coefficient: 0.3 }, { score }, pairs);
    const losses = c.map((x, i) => Math.log1p(Math.exp((d[i] as number) - x)));
    expect(got.loss).toBeCloseTo(mean(losses) + 0.3 * mean(c.map((x, i) => (x + (d[i] as number)) ** 2)), 5);
    expect(got.metrics.accuracy).toBeCloseTo(mean(c.map((x, i) => (x > (d[i] as number) ? 1 : 0))), 6);
    expect(got.metrics.max_reward).toBeCloseTo(Math.max(...r), 5);
    expect(got.metrics.min_reward).toBeCloseTo(Math.min(...r), 5);
  });

  it('smorm: the regression covers the attributes that are known, and `use` changes the score, not the preference loss', async () => {
    const own = { score, attributes: { weight: weight(2, 3) } };
    const h = await lasts();
    const wanted = pairs.examples.flatMap(({ columns }) => [columns?.attributes?.slice(0, 2), columns?.attributes?.slice(2)]) as number[][];
    const errors = h.flatMap((x, s) =>
      times(x, own.attributes.weight).flatMap((a, k) => ((wanted[s]?.[k] as number) > -1e6 ? [(a - (wanted[s]?.[k] as number)) ** 2] : [])),
    );
    expect(errors.length).toBe(10);
    const plain = await run('bradley-terry', {}, { score }, pairs);
    for (const use of ['F', 'L', 'M']) {
      const got = await run('smorm', { attributes: 2, regression_weight: 0.4, use }, own, pairs);
      expect(got.loss).toBeCloseTo(plain.loss + 0.4 * mean(errors), 4);
      const scores = h.map((x) => {
        const [preference, attributes] = [times(x, score.weight)[0] as number, mean(times(x, own.attributes.weight))];
        return use === 'F' ? preference : use === 'L' ? attributes : (preference + attributes) / 2;
      });
      expect(got.metrics.mean_reward).toBeCloseTo(mean(scores), 4);
    }
  });

  it.each([true, false])('oprm: the chance of a higher rating, within the region of the labels (%s)', async (flooding) => {
    const own = { score: { weight: weight(6, 5) } };
    const p = (await lasts()).map((h) => {
      const z = times(h, own.score.weight);
      const top = Math.max(...z);
      const e = z.map((x) => Math.exp(x - top));
      return e.map((x) => x / e.reduce((a, b) => a + b, 0));
    });
    const losses = pairs.examples.map(({ columns }, e) => {
      const [qc, qr] = (columns?.quality ?? []) as [number, number];
      const known = flooding && qc >= 0 && qr >= 0;
      const [low, high] = known ? [Math.min(qc, qr) * 2, (Math.max(qc, qr) + 1) * 2] : [0, 6];
      let chance = 0;
      for (let i = low; i < high; i++) for (let j = low; j < i; j++) chance += (p[2 * e]?.[i] as number) * (p[2 * e + 1]?.[j] as number);
      return -Math.log(chance);
    });
    const got = await run('oprm', { ratings: 6, flooding }, own, pairs);
    expect(got.loss).toBeCloseTo(mean(losses), 4);
    expect(got.metrics.mean_reward).toBeCloseTo(mean(p.map((row) => row.reduce((s, x, i) => s + x * (i + 1), 0))), 4);
  });

  it('oprm: borrows the logits of the tokens that stand for ratings', async () => {
    const tokens = [2, 5, 6];
    const table = (params.lm_head as { readonly weight: NDArray }).weight;
    const rows = table.toNested() as number[][];
    const borrowed = new NDArray(
      'f32',
      [8, 3],
      Float32Array.from({ length: 24 }, (_, i) => rows[tokens[i % 3] as number]?.[Math.floor(i / 3)] as number),
    );
    const a = await run('oprm', { rating_tokens: tokens }, {}, pairs);
    const b = await run('oprm', { ratings: 3 }, { score: { weight: borrowed } }, pairs);
    expect(a.loss).toBeCloseTo(b.loss, 5);
  });

  const steps = (set: ExampleSet): { row: number; at: number; label: number }[] =>
    set.examples.flatMap(({ sequences }, row) =>
      [...(sequences[0]?.values?.step_labels ?? [])].flatMap((label, at) => (label >= 0 ? [{ row, at, label }] : [])),
    );

  it.each(['min', 'prod', 'mean', 'geometric_mean'])(
    'prm: cross-entropy of the steps; a chain is worth the %s of its steps',
    async (aggregate) => {
      const set = chains(false);
      const h = await hiddenOf(set);
      const judged = steps(set).map((s) => ({ ...s, p: sigmoid(times(h[s.row]?.[s.at] as number[], score.weight)[0] as number) }));
      const got = await run('prm', { aggregate }, { score }, set);
      expect(got.loss).toBeCloseTo(mean(judged.map(({ p, label }) => -Math.log(label ? p : 1 - p))), 5);
      expect(got.metrics.accuracy).toBeCloseTo(mean(judged.map(({ p, label }) => (p > 0.5 === label > 0.5 ? 1 : 0))), 5);
      const worth = [0, 1, 2].map((row) => {
        const own = judged.filter((s) => s.row === row).map(({ p }) => p);
        const product = own.reduce((a, b) => a * b, 1);
        return { min: Math.min(...own), prod: product, mean: mean(own), geometric_mean: product ** (1 / own.length) }[aggregate] as number;
      });
      expect(got.metrics.mean_reward).toBeCloseTo(mean(worth), 5);
    },
  );

  it('sprm: steps whose own verdict agrees with the outcome', async () => {
    const set = chains(false);
    const h = await hiddenOf(set);
    const kept = steps(set).flatMap(({ row, at }) => {
      const p = sigmoid(times(h[row]?.[at] as number[], score.weight)[0] as number);
      const outcome = set.examples[row]?.columns?.outcome?.[0] as number;
      return p > 0.5 === outcome > 0.5 ? [-Math.log(outcome ? p : 1 - p)] : [];
    });
    expect(kept.length).toBeGreaterThan(0);
    expect(kept.length).toBeLessThan(steps(set).length);
    expect((await run('sprm', {}, { score }, set)).loss).toBeCloseTo(mean(kept), 5);
    // the model beneath feels the share of the gradient that it is given, the head all of it
    const [full, little] = [await run('sprm', {}, { score }, set), await run('sprm', { backbone_gradient: 0.01 }, { score }, set)];
    const path = 'model.norm.weight';
    full.grads[path]?.forEach((g, i) => {
      expect(little.grads[path]?.[i]).toBeCloseTo(0.01 * g, 6);
    });
    full.grads['own.score.weight']?.forEach((g, i) => {
      expect(little.grads['own.score.weight']?.[i]).toBeCloseTo(g, 6);
    });
  });

  it('scores sets after training, in batches, as the log of training does', async () => {
    const scorer = new RewardScorer(model, patched('bradley-terry'), { params, own: { score } }, { threads: 1 });
    const got = await scorer.score(pairs, { batch_size: 3, context: 8 });
    const r = (await lasts()).map((h) => times(h, score.weight)[0] as number);
    expect(got.length).toBe(4);
    got.flat().forEach((x, i) => {
      expect(x).toBeCloseTo(r[i] as number, 3);
    });
    scorer.dispose();
  });
});
