import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { schedules } from '../../../src/optim/schedule/index.js';
import { optimizers } from '../../../src/optim/transform/index.js';
import { type NDArray, randomKey, type Tree, treeEntries } from '../../../src/tensor/index.js';
import { CheckpointStore } from '../../../src/train/checkpoints.js';
import type { MetricsLine } from '../../../src/train/pretrain.js';
import { RolloutBatch } from '../../../src/train/rl/batch.js';
import type { HostContext, NamedReward, PolicyService, Scaffolded } from '../../../src/train/rl/contract.js';
import { bucketWeights, experienceBuffer, shapedReplay, sparingRollout, withExperience } from '../../../src/train/rl/parts/experience.js';
import { klConvex, mixedBuffer, mixedClip, reincarnation } from '../../../src/train/rl/parts/mixPolicy.js';
import { flatRollout, noBuffer, shuffledPrompts } from '../../../src/train/rl/parts/sampling.js';
import { ppoClip } from '../../../src/train/rl/parts/surrogate.js';
import { weightedDraw } from '../../../src/train/rl/parts/valueTracker.js';
import { promptDataset } from '../../../src/train/rl/prompts.js';
import type { Prompt, ScoredSample } from '../../../src/train/rl/trajectory.js';
import { type RlOptions, trainRl } from '../../../src/train/rl.js';
import { runTokenLoss, tokenCase } from './graph.js';
import { hostOf, numbers, recipeOf, sample, tinyPolicy, tokenizer } from './support.js';

const data = promptDataset(
  Array.from({ length: 6 }, (_, i) => ({ prompt: `${i}` })),
  tokenizer,
);

/** Samples of one group of a problem. */
function group(id: number, key: string, rewards: readonly number[], seed: number, replay = false): ScoredSample[] {
  const next = numbers(seed);
  const prompt = { ...data.prompt(id), columns: (replay ? { replay: true } : {}) as Prompt['columns'] };
  return rewards.map((reward) => {
    const s = sample({ group: key, reward, length: 3 }, next);
    return { ...s, trajectory: { ...s.trajectory, prompt } };
  });
}

/** Entropies that name the first token of a sequence. */
const policy: PolicyService = {
  generate: () => Promise.reject(new Error('no policy')),
  logps: () => Promise.reject(new Error('no policy')),
  measure: async (sequences) => sequences.map(({ tokens }) => new Float64Array(tokens.length).fill(tokens[0] as number)),
  nudged: () => Promise.reject(new Error('no policy')),
};

const rows = (
  given: ReturnType<typeof tokenCase>,
  f: (at: (name: 'logp' | 'old' | 'start' | 'reference' | 'advantage') => number) => number,
) => given.mask.map((row, b) => row.map((m, t) => (m === 0 ? 0 : f((name) => given[name][b]?.[t] as number))));

const closeTo = (a: number[][], b: number[][], digits = 6): void => {
  for (const [i, row] of b.entries()) for (const [t, x] of row.entries()) expect(a[i]?.[t]).toBeCloseTo(x, digits);
};

describe('ExGRPO', () => {
  it('draws problems by a normal density of their number of right answers, each number’s share split among its problems', () => {
    const right = [4, 4, 2, 7];
    const density = (k: number): number => Math.exp(-((k - 4) ** 2) / 2) / Math.sqrt(2 * Math.PI);
    const total = density(4) + density(2) + density(7);
    const weights = bucketWeights(right, 8);
    const sum = weights.reduce((a, b) => a + b, 0);
    for (const [i, w] of [density(4) / 2, density(4) / 2, density(2), density(7)].entries())
      expect((weights[i] as number) / sum).toBeCloseTo(w / total, 12);
    const counts = [0, 0, 0, 0];
    for (let seed = 0; seed < 4000; seed++) {
      const [first] = weightedDraw(randomKey(seed), weights, 1);
      counts[first as number] = (counts[first as number] as number) + 1;
    }
    for (const [i, w] of weights.entries()) expect(Math.abs((counts[i] as number) / 4000 - w / sum)).toBeLessThan(0.03);
  });

  it('keeps successes of partly solved problems, begins after a good step, asks again and adds the surest one', async () => {
    const recipe = recipeOf('exgrpo', { num_generations: 4, replay_kept: 3 });
    const host = hostOf(recipe, [], {}, policy);
    const [buffer, prompts] = [experienceBuffer(noBuffer), withExperience(shuffledPrompts)];
    const at = <T>(slot: 'buffer' | 'prompts', part: T): HostContext => host.context(slot, part as never);
    const exchange = (samples: readonly ScoredSample[]) => buffer.exchange(new RolloutBatch(samples), at('buffer', buffer));
    const first = [...group(0, '0:0', [1, 1, 0, 0], 3), ...group(1, '0:1', [0, 0, 0, 0], 4), ...group(2, '0:2', [1, 0, 0, 0], 5)];
    expect(await exchange(first)).toHaveLength(12);
    // 3 of 12 right: not yet
    expect((await prompts.next(4, data, at('prompts', prompts))).every((p) => p.columns.replay === undefined)).toBe(true);
    host.step = 1;
    const second = [...group(3, '1:0', [1, 1, 1, 1], 6), ...group(4, '1:1', [1, 1, 1, 0], 7)];
    await exchange(second);
    host.step = 2;
    const asked = await prompts.next(4, data, at('prompts', prompts));
    expect(asked.map((p) => p.columns.replay === true)).toEqual([false, false, true, true]);
    for (const p of asked.slice(2)) expect([0, 2, 4]).toContain(p.id);
    // problem 0 is asked again: its stored success whose entropy is lowest joins, with the log-probabilities that it was drawn with
    const again = group(0, '2:3', [0, 1, 0], 8, true);
    const all = await exchange(again);
    const stored = first
      .slice(0, 2)
      .sort((a, b) => (a.segments[0]?.tokens[0] as number) - (b.segments[0]?.tokens[0] as number))[0] as ScoredSample;
    expect(all).toHaveLength(4);
    expect(all[3]?.segments[0]).toEqual(stored.segments[0]);
    expect([all[3]?.group, all[3]?.trajectory.age, all[3]?.trajectory.notes.replayed]).toEqual(['2:3', 2, true]);
    // a problem whose whole group is right retires
    host.step = 3;
    await exchange(group(0, '3:0', [1, 1, 1], 9, true));
    expect(await exchange(group(0, '4:0', [0, 0, 0], 10, true))).toHaveLength(3);
    // at most three of a problem
    for (let i = 0; i < 3; i++) await exchange(group(5, `${5 + i}:0`, [1, 1, 0], 11 + i));
    const { problems } = JSON.parse(JSON.stringify(host.save())).states['buffer/experience'];
    expect(problems[5].kept).toHaveLength(3);
    expect(problems[0]).toBeUndefined();
  });

  it('draws one completion less for problems that are asked again', async () => {
    const part = sparingRollout({
      ...flatRollout,
      sample: async (prompts, context) => prompts.flatMap((p) => Array(context.num_generations).fill({ prompt: p.prompt })),
    });
    const scaffolded = [false, true].map((replay): Scaffolded => {
      const prompt = { ...data.prompt(1), columns: (replay ? { replay } : {}) as Prompt['columns'] };
      return { prompt, context: prompt.tokens };
    });
    const context = {
      ...hostOf(recipeOf('exgrpo')).context('rollout', part),
      num_generations: 4,
      score: async () => new Float64Array(0),
      scaffold: async () => [],
    };
    const drawn = await part.sample(scaffolded, context);
    expect(drawn.map((t) => t.prompt.columns.replay === true)).toEqual([false, false, false, false, true, true, true]);
  });

  it('the shaped ratio is rho / (rho + beta), its slope that of the quotient', async () => {
    const given = tokenCase({ stale: true });
    const settings = { ...ppoClip.defaults, replay_beta: 0.1 };
    const [own, clipped] = [
      await runTokenLoss(shapedReplay(ppoClip).loss, given, settings),
      await runTokenLoss(ppoClip.loss, given, settings),
    ];
    let replayed = 0;
    for (const [b, row] of given.mask.entries())
      for (const [t, m] of row.entries()) {
        if (m === 0) continue;
        const old = given.columns.replayed?.[b]?.[t] === 1;
        const w = Math.exp((given.logp[b]?.[t] as number) - (given.old[b]?.[t] as number));
        const A = given.advantage[b]?.[t] as number;
        replayed += old ? 1 : 0;
        expect(own.losses[b]?.[t]).toBeCloseTo(old ? (-A * w) / (w + 0.1) : (clipped.losses[b]?.[t] as number), 6);
        const slope = ((given.weight[b]?.[t] as number) * -A * w * 0.1) / (w + 0.1) ** 2;
        expect(own.slope[b]?.[t]).toBeCloseTo(old ? slope : (clipped.slope[b]?.[t] as number), 6);
      }
    expect(replayed).toBeGreaterThan(2);
  });
});

describe('ReMix', () => {
  it('clips around the ratio that tokens had at the start of the step', async () => {
    const given = tokenCase({ stale: true });
    const { losses } = await runTokenLoss(mixedClip.loss, given, { ...mixedClip.defaults, epsilon_high: 0.3 });
    const clamp = (x: number, low: number, high: number): number => Math.min(Math.max(x, low), high);
    const expected = rows(given, (at) => {
      const [rho, centre, A] = [Math.exp(at('logp') - at('old')), Math.exp(at('start') - at('old')), at('advantage')];
      return -Math.min(rho * A, clamp(rho, centre - 0.2, centre + 0.3) * A);
    });
    closeTo(losses, expected);
  });

  it('the KL is a convex combination of two', async () => {
    const given = tokenCase({ stale: true });
    const { losses } = await runTokenLoss(klConvex.loss, given, { beta: 0.5, kl_lambda: 0.7, kl_loss_type: 'k3' });
    const k3 = (d: number): number => Math.exp(d) - d - 1;
    closeTo(
      losses,
      rows(given, (at) => 0.5 * (0.7 * k3(at('reference') - at('logp')) + 0.3 * k3(at('start') - at('logp')))),
      5,
    );
  });

  it('40% of the batch come from the last two steps, whole groups, until the second stage', async () => {
    const host = hostOf(recipeOf('remix'));
    const part = mixedBuffer(noBuffer);
    const sizes: number[][] = [];
    for (host.step = 0; host.step < 5; host.step++) {
      const fresh = new RolloutBatch([0, 1, 2].flatMap((id) => group(id, `${host.step}:${id}`, [1, 0], 20 + 3 * host.step + id)));
      const context = { ...host.context('buffer', part), progress: host.step / 16 };
      const all = new RolloutBatch(await part.exchange(fresh, context));
      sizes.push([all.size, all.groups]);
      for (const { trajectory, group: key } of all.samples) {
        expect(trajectory.age).toBe(host.step - Number(key.split(':')[0]));
        expect(trajectory.age).toBeLessThanOrEqual(2);
      }
    }
    // 3 fresh groups and round(3 * 0.4 / 0.6) = 2 old ones; the fifth step lies at a quarter of the run
    expect(sizes).toEqual([
      [6, 3],
      [10, 5],
      [10, 5],
      [10, 5],
      [6, 3],
    ]);
  });

  it('the second stage resets the reference once, trains once a sample and relaxes the anchor to the base', () => {
    const host = hostOf(recipeOf('remix'));
    const at = (progress: number) => reincarnation.at({ ...host.context('phases', reincarnation), progress });
    expect(at(0)).toEqual({ settings: { kl_lambda: 1, num_iterations: 2 }, reset_reference: false });
    expect(at(0.25)).toEqual({ settings: { kl_lambda: 1, num_iterations: 1 }, reset_reference: true });
    expect(at(0.375)).toEqual({ settings: { kl_lambda: 0.75, num_iterations: 1 }, reset_reference: false });
    expect(at(0.5)?.settings?.kl_lambda).toBe(0.5);
    expect(at(1)?.settings?.kl_lambda).toBe(0.5);
  });
});

describe('in the loop', () => {
  const { model, params } = tinyPolicy(1);
  const digit: NamedReward = { name: 'even', score: (_, completions) => completions.map((c) => (/^[a-zA-Z0-9]/.test(c) ? 1 : 0)) };
  const flat = (tree: unknown): number[] => treeEntries<NDArray>(tree as Tree<NDArray>).flatMap(([, p]) => p.toNumbers());
  const run = async (spec: string, more: Partial<RlOptions> = {}) => {
    const lines: MetricsLine[] = [];
    const [adam, constant] = [optimizers.adam, schedules.constant];
    if (!adam || !constant) throw new Error('no optimizer');
    const result = await trainRl({
      model,
      start: params,
      tokenizer,
      recipe: recipeOf(spec, { prompts_per_step: 4, num_generations: 4, max_completion_length: 2 }),
      optimizer: { method: adam, settings: { ...adam.defaults, learning_rate: 0.01 } },
      schedule: { method: constant, settings: {} },
      args: { max_steps: 6 },
      data: ['a', 'b', 'c', 'd', 'e'].map((prompt) => ({ prompt })),
      rewards: [digit],
      seed: 1,
      threads: 1,
      onMetrics: (line) => lines.push(line),
      ...more,
    });
    return { ...result, lines };
  };
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'vitro-replay-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true, maxRetries: 3 }));

  it.each(['exgrpo', 'remix', 'grpo+exgrpo', 'grpo+remix'])(
    '%s replays, and a stopped run ends with the same bits',
    async (spec) => {
      const whole = await run(spec);
      expect(whole.status).toBe('finished');
      expect(whole.lines.some((l) => (l['replay/samples'] as number) > 0)).toBe(true);
      expect(flat(whole.params).every(Number.isFinite)).toBe(true);
      expect(flat(whole.params)).not.toEqual(flat(params));
      if (spec.startsWith('grpo+')) return;
      const store = () => new CheckpointStore(join(folder, spec), { identity: 'x' });
      const stop = new AbortController();
      const stopped = run(spec, { checkpoints: store(), signal: stop.signal, onMetrics: (line) => line.global_step === 2 && stop.abort() });
      await expect(stopped).rejects.toThrow(/abort/i);
      expect(flat((await run(spec, { checkpoints: store() })).params)).toEqual(flat(whole.params));
    },
    60_000,
  );

  it('remix: the KL to the reference is 0 at the step in which the reference becomes the policy', async () => {
    const { lines } = await run('remix', { args: { max_steps: 8 } });
    expect(lines[1]?.kl as number).toBeGreaterThan(1e-5);
    expect(Math.abs(lines[2]?.kl as number)).toBeLessThan(1e-6);
  });
});
