import { describe, expect, it } from 'vitest';
import { exampleSet } from '../../../src/data/examples/index.js';
import type { ParamTree } from '../../../src/nn/param.js';
import { compile, grad, NDArray, type Tensor, type Tree, treeLeaves } from '../../../src/tensor/index.js';
import { add } from '../../../src/tensor/ops/elementwise.js';
import { sum } from '../../../src/tensor/ops/reduce.js';
import { withSites } from '../../../src/tensor/site.js';
import type { BatchTensors } from '../../../src/train/objective/index.js';
import { type PreferMethod, preferences, preferObjective } from '../../../src/train/prefer/index.js';
import { patchPreference } from '../../../src/train/prefer.js';
import { tokenView } from '../../../src/train/tokenView.js';
import { batchOf, pairs, sequence } from '../support/examples.js';
import { decoderParams, lossRunner, model } from '../support/lossRun.js';

const params = decoderParams(3);
const reference = decoderParams(4);
const objective = (id: string, settings: Record<string, number>) => {
  const method = preferences[id] as PreferMethod;
  return preferObjective(patchPreference([{ method, settings: { ...method.defaults, ...settings } }]));
};
const logSigmoid = (x: number): number => -Math.log1p(Math.exp(-x));

/** Log-probabilities [B][T] of the targets, the embeddings shifted. */
const shifted = compile(
  (weights: ParamTree<Tensor>, batch: BatchTensors, shift: Tensor) => {
    const hidden = (): Tensor => withSites({ embed: (x) => add(x, shift) }, () => model.hidden(weights, batch.inputs));
    return tokenView({ model, params: weights, targets: batch.targets, hidden, logits: false }).logp;
  },
  { backend: 'reference' },
);

describe('ti-dpo', () => {
  const set = exampleSet(
    [{ sequences: [sequence([3, 1, 4, 1, 5], [2, 3, 4]), sequence([3, 1, 2, 6, 0], [2, 3, 4]), sequence([3, 1, 4, 0], [2, 3])] }],
    'one pair with an anchor',
  );
  const batch = batchOf(set);
  const { extra: _, ...tokens } = batch;
  const [rows, T, D] = [3, 8, 8];
  const logps = async (weights: typeof params, shift = new Float32Array(rows * T * D)): Promise<number[][]> => {
    const out = (await shifted.run(weights as never, tokens as never, new NDArray('f32', [rows, T, D], shift))) as NDArray;
    return out.toNested() as number[][];
  };

  it('weighs tokens as differences of the log-probability by their embeddings say, and draws the anchor', async () => {
    const settings = { beta: 0.4, lambda: 0.6, triplet_gamma: 0.5, triplet_margin: 0.3 };
    const [mine, theirs] = [await logps(params), await logps(reference)];
    const total = (x: number[][]): number => x.flat().reduce((a, b) => a + b, 0);
    const targets = (tokens.targets.toNested() as number[][]).map((row) => row.flatMap((t, i) => (t >= 0 ? [i] : [])));
    const step = 1e-2;
    const attribution = async (row: number, input: number): Promise<number> => {
      let size = 0;
      for (let d = 0; d < D; d++) {
        const moved = (by: number): Promise<number[][]> => {
          const shift = new Float32Array(rows * T * D);
          shift[(row * T + input) * D + d] = by;
          return logps(params, shift);
        };
        size += Math.abs((total(await moved(step)) - total(await moved(-step))) / (2 * step));
      }
      return size;
    };
    const rewards: number[] = [];
    for (const [row, own] of targets.entries()) {
      const n = own.length;
      const sizes = await Promise.all(own.map((t) => attribution(row, t + 1)));
      const [low, high] = [Math.min(...sizes), Math.max(...sizes)];
      const weights = sizes.map((s, i) => 0.6 * ((s - low) / (high - low)) + 0.4 * Math.exp(-0.5 * ((i - (n - 1) / 2) / (n / 4)) ** 2));
      rewards.push(
        0.4 * own.reduce((r, t, i) => r + (weights[i] as number) * ((mine[row]?.[t] as number) - (theirs[row]?.[t] as number)), 0),
      );
    }
    const [chosen, rejected, anchor] = rewards as [number, number, number];
    const per = [chosen / 3, rejected / 3, anchor / 2] as const;
    const triplet = Math.max(0, (per[2] - per[0]) ** 2 - (per[2] - per[1]) ** 2 + 0.3);
    const got = await lossRunner(model, objective('ti-dpo', settings))({ params, frozen: { reference }, batch });
    expect(got.loss).toBeCloseTo(-logSigmoid(chosen - rejected) + 0.5 * triplet, 3);
    expect(got.metrics['rewards/chosen']).toBeCloseTo(chosen, 3);
  });
});

describe('aux-dpo', () => {
  it('shifts the margins, and keeps the offsets near those that a step of the policy cannot express', async () => {
    const batch = batchOf(pairs);
    const { extra: _, ...tokens } = batch;
    const delta = [0.3, -0.2, 0.1, 0.4, -0.5, 0.2, 0.05, -0.1];
    // the gradient of every response by itself
    const each = compile(
      (weights: ParamTree<Tensor>, b: BatchTensors) => {
        const view = tokenView({
          model,
          params: weights,
          targets: b.targets,
          hidden: () => model.hidden(weights, b.inputs),
          logits: false,
        });
        return delta.map((_, row) => grad(sum(view.logp.slice([[row, row + 1]])), weights as never));
      },
      { backend: 'reference' },
    );
    const gradients = ((await each.run(reference as never, tokens as never)) as unknown as Tree<NDArray>[]).map((tree) =>
      treeLeaves<NDArray>(tree).flatMap((x) => x.toNumbers()),
    );
    const size = gradients[0]?.length as number;
    const direction = Array.from({ length: size }, (_, i) => delta.reduce((s, d, row) => s + d * (gradients[row]?.[i] as number), 0));
    const norm = direction.reduce((s, x) => s + x * x, 0);
    const own = { delta: new NDArray('f32', [4, 2], Float32Array.from(delta)) };
    const frozen = { reference };
    const settings = { beta: 0.2, null_weight: 0.03, amplitude_weight: 0.7 };
    const got = await lossRunner(model, objective('aux-dpo', settings))({ params, own, frozen, batch });
    const plain = await lossRunner(model, objective('dpo', { beta: 0.2 }))({ params, frozen, batch });
    const penalty = (0.03 * norm) / 16 + (0.7 * delta.reduce((s, d) => s + d * d, 0)) / 4;
    expect(got.metrics.auxiliary_loss).toBeCloseTo(penalty, 4);
    expect(got.metrics['rewards/chosen']).toBeCloseTo((plain.metrics['rewards/chosen'] as number) + (0.3 + 0.1 - 0.5 + 0.05) / 4, 5);
    // the penalty's own slope by the offsets is 2 A' A d
    const without = await lossRunner(model, objective('aux-dpo', { ...settings, null_weight: 0 }))({ params, own, frozen, batch });
    gradients.forEach((g, row) => {
      const slope = (2 * 0.03 * g.reduce((s, x, i) => s + x * (direction[i] as number), 0)) / 16;
      const claimed = (got.grads['own.delta']?.[row] as number) - (without.grads['own.delta']?.[row] as number);
      expect(Math.abs(claimed - slope)).toBeLessThan(1e-3 * Math.max(1, Math.abs(slope)));
    });
  });
});

describe('hpl', () => {
  it('lets groups in phase by phase', async () => {
    const run = lossRunner(model, objective('hpl', {}));
    const shares = [];
    for (const progress of [0, 0.3, 0.34, 0.6, 0.67, 1])
      shares.push((await run({ params, frozen: { reference }, batch: batchOf(pairs), progress })).metrics.selected_pairs);
    expect(shares).toEqual([0.5, 0.5, 0.75, 0.75, 1, 1]);
  });
});

describe('the ledger', () => {
  it('counts the reference and what a method differentiates beside the policy', () => {
    const sizes = { model: { trainFlopsPerToken: () => 30 }, batch_size: 2, context: 5 } as never;
    const flops = (id: string, precomputed = false): number => {
      const method = preferences[id] as PreferMethod;
      return preferObjective(patchPreference([{ method, settings: method.defaults }]), precomputed).extraFlops?.(sizes, {}) as number;
    };
    expect([flops('dpo'), flops('dpo', true), flops('simpo')]).toEqual([100, 0, 0]);
    expect(flops('ti-dpo')).toBeCloseTo(400, 9);
    expect(flops('aux-dpo')).toBeCloseTo(700, 9);
  });
});

describe('what a loss reads', () => {
  it('is asked for by name where it is missing', async () => {
    const bare = batchOf(
      exampleSet(
        pairs.examples.map(({ sequences }) => ({ sequences })),
        'bare',
      ),
    );
    await expect(lossRunner(model, objective('cw-po', {}))({ params, frozen: { reference }, batch: bare })).rejects.toThrow(
      'score_margin (score of',
    );
    await expect(lossRunner(model, objective('dpo', {}))({ params, batch: bare })).rejects.toThrow('reads a reference');
  });
});
