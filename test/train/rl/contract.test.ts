import { describe, expect, it } from 'vitest';
import type { Settings } from '../../../src/contracts/index.js';
import type { JsonValue } from '../../../src/data/stream/batch.js';
import type { Completion } from '../../../src/infer/index.js';
import type { ParamTree } from '../../../src/nn/param.js';
import { schedules } from '../../../src/optim/schedule/index.js';
import { optimizers } from '../../../src/optim/transform/index.js';
import {
  abs,
  add,
  exp,
  log,
  logSoftmax,
  maximum,
  mul,
  type NDArray,
  neg,
  sub,
  sum,
  type Tree,
  treeEntries,
} from '../../../src/tensor/index.js';
import type { MetricsLine } from '../../../src/train/pretrain.js';
import { RolloutBatch } from '../../../src/train/rl/batch.js';
import { also, composeRl, type SlotPatches, wrap } from '../../../src/train/rl/compose.js';
import type { Advantage, Auxiliary, Buffer, NamedReward, Phases, Reward, Rollout, Update } from '../../../src/train/rl/contract.js';
import { baseSlots, commonSettings } from '../../../src/train/rl/defaults.js';
import { rlMethods } from '../../../src/train/rl/methods/index.js';
import type { RlMethod } from '../../../src/train/rl/methods/slot.js';
import { groupMean } from '../../../src/train/rl/parts/advantage.js';
import { dynamicSamplingFilter, functionRewards, withOverlong } from '../../../src/train/rl/parts/reward.js';
import { byPrompt, completionTrajectory, sampleFlat } from '../../../src/train/rl/parts/sampling.js';
import { ppoClip } from '../../../src/train/rl/parts/surrogate.js';
import { type ScoredSample, type Segment, sampleFromJson, sampleToJson, type Trajectory } from '../../../src/train/rl/trajectory.js';
import { type RlOptions, trainRl } from '../../../src/train/rl.js';
import { batchOf, hostOf, mixedBatch, recipeOf, tinyPolicy, tokenizer } from './support.js';

/** Small forms of published methods, one for each thing that the contract offers, run through the loop. */

const { model, params } = tinyPolicy(1);
const easy: NamedReward = { name: 'length', score: (_, completions) => completions.map((c) => c.length + (c.startsWith('a') ? 1 : 0)) };
const data = ['a', 'b', 'c'].map((prompt, i) => ({ prompt, solution: `${i}#` }));

async function run(
  slots: SlotPatches,
  {
    defaults = {},
    settings = {},
    steps = 1,
    more = {},
    parent = 'grpo',
  }: {
    readonly defaults?: Settings;
    readonly settings?: Settings;
    readonly steps?: number;
    readonly more?: Partial<RlOptions>;
    readonly parent?: string;
  } = {},
) {
  const method: RlMethod = { ...(rlMethods['token-mean'] as RlMethod), id: 'paper', parent, defaults, slots };
  const recipe = composeRl(`${parent}+paper`, {
    methods: { ...rlMethods, paper: method },
    base: baseSlots,
    common: commonSettings,
    settings: { prompts_per_step: 2, num_generations: 4, max_completion_length: 4, ...(parent === 'grpo' ? { beta: 0 } : {}), ...settings },
  });
  const lines: MetricsLine[] = [];
  const optimizer = optimizers.sgd ?? optimizers.adam;
  const result = await trainRl({
    model,
    start: params,
    tokenizer,
    recipe,
    optimizer: { method: optimizer as NonNullable<typeof optimizer>, settings: { ...optimizer?.defaults, learning_rate: 0.01 } },
    schedule: { method: schedules.constant as NonNullable<typeof schedules.constant>, settings: {} },
    args: { max_steps: steps, max_grad_norm: 0 },
    data,
    rewards: [easy],
    seed: 1,
    threads: 1,
    onMetrics: (line) => lines.push(line),
    ...more,
  });
  return { ...result, lines };
}

const flat = (tree: ParamTree<NDArray>): number[] => treeEntries<NDArray>(tree as Tree<NDArray>).flatMap(([, p]) => p.toNumbers());
const distance = (a: number[], b: number[]): number => Math.sqrt(a.reduce((s, x, i) => s + (x - (b[i] as number)) ** 2, 0));
const start = flat(params);

describe('host stage between forward and backward', () => {
  it('sees the log-probabilities of the moment and sets knobs and columns (BAPO, M2PO)', async () => {
    const seen: number[] = [];
    const surrogate = {
      ...ppoClip,
      name: 'masked',
      stage: ({ logp, old_logp }: { readonly logp: Float64Array; readonly old_logp: Float64Array }) => {
        seen.push(Math.max(...logp.map((x, k) => Math.abs(x - (old_logp[k] as number)))));
        return { knobs: { epsilon: 0 }, columns: { keep: new Float64Array(logp.length) } };
      },
      loss: (context: Parameters<typeof ppoClip.loss>[0]) => ({
        loss: mul(ppoClip.loss(context).loss, context.column('keep')),
        metrics: { epsilon_now: context.knob('epsilon') },
      }),
    };
    const { params: after, lines } = await run({ surrogate }, { settings: { num_iterations: 2 } });
    expect(seen).toHaveLength(2);
    for (const gap of seen) expect(gap).toBeLessThan(1e-5);
    expect(lines[0]?.epsilon_now).toBe(0);
    expect(flat(after)).toEqual(start);
  });
});

describe('update', () => {
  it('inner steps, a way back, and a correction (SFPO)', async () => {
    const moves: number[] = [];
    const update: Update = {
      name: 'slow-fast',
      run: async ({ batch, train, parameters }) => {
        const before = parameters.snapshot();
        for (let k = 0; k < 3; k++) await train(batch.training);
        moves.push(distance(flat(parameters.snapshot()), flat(before)));
        parameters.interpolate(before, 0.5);
        moves.push(distance(flat(parameters.snapshot()), flat(before)));
        parameters.interpolate(before, 0);
        await train(batch.training, { rate: 0 });
      },
    };
    const { params: after } = await run({ update });
    expect(moves[0]).toBeGreaterThan(1e-6);
    expect((moves[1] as number) / (moves[0] as number)).toBeCloseTo(0.5, 3);
    expect(flat(after)).toEqual(start);
  });
});

describe('auxiliary losses and phases', () => {
  it('demonstrations beside rollouts, with a weight that falls (CHORD)', async () => {
    const demonstration: Auxiliary = {
      name: 'demonstrations',
      defaults: { mu: 1 },
      sequences: (batch) =>
        batch.samples.slice(0, 1).map(({ trajectory: { prompt } }) => {
          const tokens = tokenizer.encode(String(prompt.columns.solution));
          return { context: prompt.tokens, tokens, weights: new Float64Array(tokens.length).fill(1 / tokens.length) };
        }),
      loss: ({ policy, knob }) => ({
        loss: mul(neg(policy.logp), knob('mu')),
        metrics: { mu: knob('mu') },
      }),
    };
    const falling: Phases = {
      name: 'falling',
      at: ({ step }) => ({ settings: { mu: 1 / (step + 1) }, reset_optimizer: true }),
    };
    const slots: SlotPatches = {
      auxiliary: also(demonstration),
      phases: also(falling),
      surrogate: wrap((inner) => ({
        ...inner,
        name: `rest of ${inner.name}`,
        loss: (c) => ({ loss: mul(inner.loss(c).loss, sub(1, c.knob('mu'))) }),
      })),
    };
    const { lines, params: after } = await run(slots, { steps: 2 });
    expect(lines.map((l) => l.mu)).toEqual([1, 0.5]);
    // at mu 1 the loss is the cross-entropy of the demonstration alone
    const uniformish = Math.log(tokenizer.vocab_size);
    expect(Math.abs((lines[0]?.loss as number) - uniformish)).toBeLessThan(2);
    expect(flat(after)).not.toEqual(start);
  });
});

describe('rollout', () => {
  it('half of the group from weights that unlearn the other half (EEPO)', async () => {
    const shares: number[] = [];
    const rollout: Rollout = {
      name: 'explore-elsewhere',
      sample: async (prompts, context) => {
        const half = context.num_generations / 2;
        const first = await sampleFlat(prompts, context, half, 'first');
        const sequences = first.flatMap((t) =>
          t.segments.map(({ context: c, tokens }) => ({ context: c, tokens, weights: new Float64Array(tokens.length).fill(1) })),
        );
        const total = async (): Promise<number> =>
          (await context.policy.logps(sequences)).flatMap((x) => [...x]).reduce((a, b) => a + b, 0);
        shares.push(await total());
        const second = await context.policy.nudged(sequences, -0.01, async () => {
          shares.push(await total());
          return sampleFlat(prompts, context, half, 'second');
        });
        shares.push(await total());
        return [...first, ...second];
      },
    };
    const { lines } = await run({ rollout });
    expect(shares[1]).toBeLessThan(shares[0] as number);
    expect(shares[2]).toBe(shares[0]);
    expect(lines[0]?.frac_reward_zero_std).toBeDefined();
  });

  it('chunks with a context of their own (Delethink), credited together, and re-rolls with hints (Scaf-GRPO)', async () => {
    const built: Trajectory[] = [];
    const rollout: Rollout = {
      name: 'chunks',
      sample: async (prompts, context) => {
        const flatOnes = await sampleFlat(prompts, context, context.num_generations);
        const out: Trajectory[] = [];
        for (const [i, t] of flatOnes.entries()) {
          const [one] = t.segments as [Segment];
          const carried = Int32Array.from([...t.prompt.tokens, ...one.tokens.slice(-1)]);
          const [made] = await context.policy.generate([{ context: carried, id: i }], { purpose: 'chunk', max_tokens: 2 });
          const more = made?.[0] as Completion;
          const next = completionTrajectory({ prompt: t.prompt, context: carried }, more);
          const hinted = Int32Array.from([9, ...carried]);
          const two = { ...(next.segments[0] as Segment), parent: 0, replay_context: hinted };
          out.push({ ...t, segments: [one, two], text: t.text + next.text });
        }
        expect((await context.score(out)).length).toBe(out.length);
        built.push(...out);
        return out;
      },
    };
    const batches: RolloutBatch[] = [];
    const advantage: Advantage = {
      ...groupMean,
      name: 'watched',
      compute: (b, c) => {
        batches.push(b);
        return groupMean.compute(b, c);
      },
    };
    const { params: after } = await run({ rollout, advantage });
    const [batch] = batches as [RolloutBatch];
    expect(batch.tokens).toBe(built.reduce((n, t) => n + t.segments.reduce((m, s) => m + s.tokens.length, 0), 0));
    // the second chunk is trained behind another context, so its old log-probabilities are those under it
    const { start: at } = batch.span(0);
    const [one, two] = (batch.samples[0] as ScoredSample).segments as [Segment, Segment];
    expect([...batch.old_logp.subarray(at, at + one.tokens.length)]).toEqual([...one.logps]);
    expect(batch.old_logp[at + one.tokens.length]).not.toBe(two.logps[0]);
    expect(flat(after)).not.toEqual(start);
  });
});

describe('reward, buffer, grouping', () => {
  it('the likelihood of a reference answer as reward (VeriFree), and segments as samples', async () => {
    const reward: Reward = {
      name: 'likelihood',
      score: async (samples, { policy }) => {
        const logps = await policy.logps(
          samples.map(({ trajectory: { prompt, segments } }) => ({
            context: Int32Array.from([...prompt.tokens, ...(segments[0]?.tokens ?? [])]),
            tokens: tokenizer.encode(String(prompt.columns.solution)),
          })),
        );
        return samples.map((s, i) => {
          const value = Math.exp((logps[i] as Float64Array).reduce((a, b) => a + b, 0));
          return { ...s, reward: value, rewards: { likelihood: value } };
        });
      },
    };
    const { lines } = await run({ reward });
    expect(lines[0]?.reward).toBeGreaterThan(0);
    expect(lines[0]?.reward).toBeLessThan(1);
    expect(lines[0]?.['rewards/likelihood/mean']).toBe(lines[0]?.reward);
  });

  it('stored samples come back with the log-probabilities that they were drawn with (ExGRPO)', async () => {
    interface Store {
      kept: JsonValue[];
    }
    const ages: number[] = [];
    const buffer: Buffer<Store> = {
      name: 'replay',
      init: () => ({ kept: [] }),
      exchange: ({ samples }, { state, tasks }) => {
        const old = state.kept.map(sampleFromJson).map((s) => ({ ...s, trajectory: { ...s.trajectory, age: s.trajectory.age + 1 } }));
        ages.push(old.length);
        state.kept = samples.slice(0, 2).map(sampleToJson);
        const seen = tasks.column('seen');
        for (const { trajectory } of samples) seen[trajectory.prompt.id] = (seen[trajectory.prompt.id] as number) + 1;
        return [...samples, ...old];
      },
    };
    const { status } = await run({ buffer }, { steps: 2 });
    expect(status).toBe('finished');
    expect(ages).toEqual([0, 2]);
  });

  it('a sample survives JSON bit for bit', () => {
    const batch = mixedBatch();
    for (const s of batch.samples) expect(sampleFromJson(JSON.parse(JSON.stringify(sampleToJson(s))))).toEqual(s);
  });

  it('segments as units of comparison', () => {
    const [t] = mixedBatch().samples.map((s) => s.trajectory);
    const two = { ...(t as Trajectory), segments: [0, 1].map(() => (t as Trajectory).segments[0] as Segment) };
    const samples = two.segments.map((s, i) => ({ trajectory: two, segments: [s], group: `turn ${i}`, reward: i, rewards: {} }));
    const batch = new RolloutBatch(samples);
    expect([batch.size, batch.groups]).toEqual([2, 2]);
    expect(byPrompt.samples([two], hostOf(recipeOf('grpo')).context('grouping', byPrompt))).toHaveLength(1);
  });
});

describe('graph functions', () => {
  it('sums over groups in a reduction of its own (DRPO), logits of the old policy and of the reference (TROLL, ROVER)', async () => {
    const slots: SlotPatches = {
      aggregate: {
        name: 'log of group sums',
        needs: ['groups'],
        weights: (lengths) => lengths.map(() => 1),
        reduce: (loss, { sequence }) => {
          const own = mul(exp(sequence.mean(loss)), sequence.present);
          return sum(mul(log(maximum(sequence.groupSpread(sequence.groupSum(own)), 1e-6)), sequence.present));
        },
      },
      surrogate: {
        name: 'distance of distributions',
        needs: ['old-policy', 'reference-policy'],
        loss: ({ policy, old, reference, mask }) => {
          const gap = (other: typeof old) => sum(abs(sub(logSoftmax(policy.logits()), logSoftmax(other.logits()))), { axis: 2 });
          return {
            loss: add(neg(policy.logp), add(gap(old), gap(reference))),
            metrics: { gap: sum(mul(gap(old), mask)), away: sum(mul(gap(reference), mask)) },
          };
        },
      },
    };
    const { lines } = await run(slots, { steps: 2 });
    expect(lines[0]?.gap).toBeCloseTo(0, 4);
    expect(lines[0]?.away).toBeCloseTo(0, 4);
    expect(lines[1]?.gap).toBeCloseTo(0, 4);
    expect(lines[1]?.away).toBeGreaterThan(1e-3);
  });
});

describe('filter and reward parts', () => {
  it('dynamic sampling keeps groups whose rewards differ', () => {
    const batch = mixedBatch();
    const kept = dynamicSamplingFilter.keep(batch, hostOf(recipeOf('dapo')).context('filter', dynamicSamplingFilter));
    expect(kept.map((n) => batch.samples[n]?.group)).toEqual(['a', 'a', 'a', 'c', 'c']);
  });

  it('dynamic sampling asks for more problems, as often as it may', async () => {
    const notes: string[] = [];
    let asked = 0;
    const equal: NamedReward = { name: 'equal', score: (_, c) => c.map((__, i) => (asked++ === 0 && i === 0 ? 1 : 0)) };
    const { status, lines } = await run(
      { filter: dynamicSamplingFilter },
      { settings: { max_refills: 3 }, more: { rewards: [equal], onNote: (t) => notes.push(t) } },
    );
    expect(status).toBe('finished');
    expect(asked).toBe(3 * 8);
    expect(notes.join('\n')).toMatch(/kept 1 of 2 groups after max_refills 3 rounds/);
    expect(lines[0]?.frac_reward_zero_std).toBeCloseTo(5 / 6, 10);
  });

  it('the overlong penalty is 0, then linear, then -1', async () => {
    const lengths = [10, 16, 17, 18, 20];
    const batch = batchOf(lengths.map((length) => ({ group: 'a', reward: 0, length })));
    const part = withOverlong(functionRewards);
    const none: NamedReward = { name: 'zero', score: (_, c) => c.map(() => 0) };
    const host = hostOf(recipeOf('dapo'), [none], { max_completion_length: 20 });
    const scored = await part.score(batch.samples, host.context('reward', part));
    expect(scored.map((s) => s.reward)).toEqual([0, 0, -0.25, -0.5, -1]);
    expect(scored[2]?.rewards).toEqual({ zero: 0, overlong: -0.25 });
  });
});
