import { describe, expect, it } from 'vitest';
import type { Settings } from '../../../src/contracts/index.js';
import type { RolloutBatch } from '../../../src/train/rl/batch.js';
import type { PolicyService } from '../../../src/train/rl/contract.js';
import { influence } from '../../../src/train/rl/parts/hiddenReward.js';
import { batchOf, hostOf, mixedBatch, numbers, recipeOf, tokenizer } from './support.js';

/** Advantages of a method at all tokens. */
async function creditOf(spec: string, batch: RolloutBatch, settings: Settings = {}, policy?: PolicyService): Promise<number[]> {
  const { slots, settings: full } = recipeOf(spec, settings);
  const context = hostOf(recipeOf(spec, settings), [], full, policy).context('advantage', slots.advantage);
  if (policy) await slots.advantage.prepare?.(batch, context);
  const out = slots.advantage.compute(batch, context);
  return Array.from(out.length === batch.tokens ? out : batch.spread(out));
}

describe('EG-GRPO', () => {
  it.each(['eg-grpo', 'grpo+eg-grpo'])('%s: gates and bonuses token by token, as a loop over ranks finds them', async (spec) => {
    const batch = batchOf([1, 0, 0].map((reward, i) => ({ group: 'a', reward, length: [10, 7, 1][i] as number })));
    const [plain, got] = [await creditOf('grpo', batch), await creditOf(spec, batch)];
    let [none, more] = [0, 0];
    for (let n = 0; n < batch.size; n++) {
      const { start, end } = batch.span(n);
      for (let k = start; k < end; k++) {
        const [h, a] = [batch.entropy[k] as number, plain[k] as number];
        const own = [...batch.entropy.subarray(start, end)];
        const below = own.filter((x) => x < h).length;
        const above = own.filter((x) => x > h).length;
        const gated = below < Math.max(1, Math.floor(0.2 * own.length)) && own.length > 1;
        const raised = above < Math.max(1, Math.floor(0.5 * own.length)) - 1;
        const want = gated ? 0 : raised ? a + Math.min(0.3 * Math.abs(a), (0.3 * h) / Math.log(tokenizer.vocab_size)) : a;
        expect(got[k]).toBeCloseTo(want, 12);
        none += Number(gated);
        more += Number(raised);
      }
    }
    expect([none, more]).toEqual([3, 6]);
  });

  it('leaves tokens that the policy did not choose out of the ranks', async () => {
    const specs = [
      { group: 'a', reward: 1, length: 6, forced: [0, 3] },
      { group: 'a', reward: 0, length: 6 },
    ];
    const batch = batchOf(specs);
    const got = await creditOf('grpo+eg-grpo', batch, { eg_low_share: 0.25, eg_coef: 0 });
    const chosen = [1, 2, 4, 5].sort((a, b) => (batch.entropy[a] as number) - (batch.entropy[b] as number));
    expect(chosen.map((k) => got[k] === 0)).toEqual([true, false, false, false]);
  });
});

describe('RL-ZVP', () => {
  const specs = [1, 1, 0, 0, 1, 0].map((reward, i) => ({ group: 'aabbcc'[i] as string, reward, length: 2 + i }));

  it.each(['rl-zvp', 'grpo+rl-zvp'])(
    '%s: right groups gain with entropy, wrong ones lose least where it is high, others are GRPO’s',
    async (spec) => {
      const batch = batchOf(specs);
      const [plain, got] = [await creditOf('grpo', batch), await creditOf(spec, batch, { zvp_alpha: 0.3 })];
      for (let n = 0; n < batch.size; n++) {
        const { start, end } = batch.span(n);
        let most = 0;
        for (let k = start; k < end; k++) most = Math.max(most, batch.entropy[k] as number);
        for (let k = start; k < end; k++) {
          const h = batch.entropy[k] as number;
          expect(got[k]).toBeCloseTo(n < 2 ? 0.3 * h : n < 4 ? -0.3 * (most - h) : (plain[k] as number), 12);
        }
      }
    },
  );
});

describe('Token Hidden Reward', () => {
  const [T, D, V] = [9, 4, 5];
  const next = numbers(17);
  const draw = (n: number, scale: number): number[] => Array.from({ length: n }, () => scale * (2 * next() - 1));
  const hidden = Array.from({ length: T }, () => draw(D, 1));
  const head = Array.from({ length: V }, () => draw(D, 0.8));
  const tokens = Array.from({ length: T }, (_, k) => (k * 3) % V);
  const right = Array.from({ length: T }, (_, k) => k % 3 !== 1);

  const probabilities = (W: readonly (readonly number[])[], h: readonly number[]): number[] => {
    const weights = W.map((row) => Math.exp(row.reduce((s, x, d) => s + x * (h[d] as number), 0)));
    const total = weights.reduce((a, b) => a + b, 0);
    return weights.map((w) => w / total);
  };
  const logp = (W: readonly (readonly number[])[], k: number): number =>
    Math.log(probabilities(W, hidden[k] as number[])[tokens[k] as number] as number);
  const errors = hidden.map((h, k) => Float64Array.from(probabilities(head, h), (p, v) => (v === tokens[k] ? 1 : 0) - p));

  it('is the rate at which right answers gain when the output layer steps along one token’s gradient', () => {
    const got = influence(
      hidden.map((h) => Float64Array.from(h)),
      errors,
      right,
    );
    const gradientOf = (k: number): number[][] =>
      head.map((row, v) =>
        row.map((_, d) => {
          const moved = (h: number) => head.map((r, i) => (i === v ? r.map((x, j) => (j === d ? x + h : x)) : r));
          return (logp(moved(1e-5), k) - logp(moved(-1e-5), k)) / 2e-5;
        }),
      );
    for (let k = 0; k < T; k++) {
      const step = gradientOf(k);
      const at = (rate: number): number => {
        const W = head.map((row, v) => row.map((x, d) => x + rate * (step[v]?.[d] as number)));
        return tokens.reduce((sum, _, j) => sum + (right[j] ? logp(W, j) : 0), 0);
      };
      expect(got[k]).toBeCloseTo((at(1e-4) - at(-1e-4)) / 2e-4, 5);
    }
    expect(got.some((s) => s < 0) && got.some((s) => s > 0)).toBe(true);
  });

  it('strengthens tokens by the sign of advantage times influence, and drops those of little influence', async () => {
    const lengths = [4, 3, 2];
    const batch = batchOf([1, 0, 1].map((reward, i) => ({ group: 'a', reward, length: lengths[i] as number })));
    const rows: Readonly<Record<string, readonly (readonly number[])[]>> = {
      'hidden states': hidden,
      'output errors': errors.map((e) => [...e]),
    };
    const policy: PolicyService = {
      generate: () => Promise.reject(new Error('not here')),
      logps: () => Promise.reject(new Error('not here')),
      nudged: () => Promise.reject(new Error('not here')),
      measure: async (sequences, { name }) => {
        let end = 0;
        return sequences.map(({ tokens: own }) => {
          end += own.length;
          return Float64Array.from((rows[name] ?? []).slice(end - own.length, end).flat());
        });
      },
    };
    const owner = lengths.flatMap((l, n) => Array.from({ length: l }, () => n));
    const isRight = owner.map((n) => n !== 1);
    // the double sum over tokens, term by term
    const dot = (a: ArrayLike<number>, b: ArrayLike<number>): number => Array.from(a).reduce((s, x, i) => s + x * (b[i] as number), 0);
    const score = owner.map((_, k) =>
      owner.reduce(
        (s, __, j) => s + (isRight[j] ? dot(errors[k] ?? [], errors[j] ?? []) * dot(hidden[k] as number[], hidden[j] as number[]) : 0),
        0,
      ),
    );
    const meanOf = (n: number): number => owner.reduce((s, m, k) => s + (m === n ? (score[k] as number) : 0), 0) / (lengths[n] as number);
    const tau = 0.5 * Math.min(meanOf(0), meanOf(2));
    const plain = await creditOf('grpo', batch);
    for (const p of [0.4, -0.4]) {
      const got = await creditOf('grpo+thr', batch, { thr_p: p, thr_beta: 0.5 }, policy);
      for (const [k, a] of plain.entries()) {
        const reward = Math.sign(a) * (score[k] as number);
        expect(got[k]).toBeCloseTo(Math.abs(reward) < tau ? 0 : a * (1 + p * Math.sign(reward)), 9);
      }
      expect(new Set(got.map((x, k) => (x / (plain[k] as number)).toFixed(6))).size).toBeGreaterThan(1);
    }
  });

  it('leaves groups without right or without wrong answers as they are', async () => {
    const batch = mixedBatch();
    const none: PolicyService = {
      generate: () => Promise.reject(new Error('not here')),
      logps: () => Promise.reject(new Error('not here')),
      nudged: () => Promise.reject(new Error('not here')),
      measure: async (sequences) => sequences.map((s) => new Float64Array(2 * s.tokens.length).fill(1)),
    };
    expect(await creditOf('grpo+thr', batch, { right_above: 5 }, none)).toEqual(await creditOf('grpo', batch));
  });
});
