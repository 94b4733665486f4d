import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Settings } from '../../../src/contracts/index.js';
import type { ParamTree } from '../../../src/nn/param.js';
import { schedules } from '../../../src/optim/schedule/index.js';
import { optimizers } from '../../../src/optim/transform/index.js';
import { type NDArray, randomKey, type Tree, treeEntries } from '../../../src/tensor/index.js';
import { CheckpointStore } from '../../../src/train/checkpoints.js';
import type { NamedReward } from '../../../src/train/rl/contract.js';
import { Policy } from '../../../src/train/rl/policy.js';
import { Stopwatch } from '../../../src/train/rl/stopwatch.js';
import { type RlOptions, trainRl } from '../../../src/train/rl.js';
import { recipeOf, tinyPolicy, tokenizer } from './support.js';

const { model, params } = tinyPolicy(1);
const chosen = <M extends { readonly defaults: Settings }>(method: M | undefined, settings: Settings = {}) => {
  if (!method) throw new Error('no such method');
  return { method, settings: { ...method.defaults, ...settings } };
};

/** 1 for a completion that begins with the digit that the prompt names. */
const digit: NamedReward = {
  name: 'digit',
  score: (_, completions, { want }) => completions.map((c, i) => (c.startsWith(String(want?.[i])) ? 1 : 0)),
};
/** Prompts of one character, each with a digit that should follow. */
const data = ['a', 'b'].map((prompt, i) => ({ prompt, want: String(3 + 4 * i) }));

const optionsOf = (spec: string, max_steps: number, settings: Settings = {}, more: Partial<RlOptions> = {}): RlOptions => ({
  model,
  start: params,
  tokenizer,
  recipe: recipeOf(spec, { prompts_per_step: 2, num_generations: 16, max_completion_length: 2, ...settings }),
  optimizer: chosen(optimizers.adam, { learning_rate: 0.02 }),
  schedule: chosen(schedules.constant),
  args: { max_steps },
  data,
  rewards: [digit],
  seed: 1,
  threads: 1,
  ...more,
});

const flat = (tree: ParamTree<NDArray>): number[] => treeEntries<NDArray>(tree as Tree<NDArray>).flatMap(([, p]) => p.toNumbers());

describe('rollouts and training see the same policy', () => {
  it.each([1, 0.7])(
    'log-probabilities and entropies of fresh rollouts equal the trainer’s to 1e-5, at temperature %s',
    async (temperature) => {
      const { model: large, params: weights } = tinyPolicy(3);
      const recipe = recipeOf('grpo', { temperature, max_completion_length: 12 });
      const policy = new Policy({
        model: large,
        tokenizer,
        view: recipe.slots.policyView,
        eos: new Set([2]),
        watch: new Stopwatch(),
        threads: 1,
        settings: () => recipe.settings,
        params: () => weights,
        reference: () => undefined,
        key: () => randomKey(4),
        generated: () => undefined,
        scored: () => undefined,
      });
      const contexts = ['12+7=', 'a', 'sort 3,1,2 please'].map((text) => tokenizer.encode(text));
      const completions = await policy.generate(contexts.map((context, id) => ({ context, id, n: 3 })));
      const sequences = completions.flatMap((own, i) => own.map((c) => ({ context: contexts[i] as Int32Array, tokens: c.tokens })));
      const drawn = completions.flat().map((c) => c.sampling_logps);
      const scored = await policy.logps(sequences);
      expect(sequences).toHaveLength(9);
      for (const [i, own] of scored.entries())
        for (const [j, x] of own.entries()) expect(Math.abs(x - (drawn[i]?.[j] as number))).toBeLessThan(1e-5);
      expect(drawn.flatMap((d) => [...d]).some((x) => x < -0.5)).toBe(true);
      if (temperature === 1) {
        const entropies = await policy.measure(sequences, { name: 'entropy', tensor: (p) => p.entropy() });
        const engine = completions.flat().map((c) => c.entropies);
        for (const [i, own] of entropies.entries())
          for (const [j, x] of own.entries()) expect(Math.abs(x - (engine[i]?.[j] as number))).toBeLessThan(1e-5);
      }
      const before = await policy.logps(sequences);
      const weighted = sequences.map((s, i) => ({ ...s, weights: new Float64Array(s.tokens.length).fill(i === 0 ? 1 : 0) }));
      const during = await policy.nudged(weighted, 1e-4, () => policy.logps(sequences));
      const twice = await policy.nudged(weighted, 2e-4, () => policy.logps(sequences));
      const sum = (x: Float64Array | undefined): number => Array.from(x ?? []).reduce((a, b) => a + b, 0);
      // to first order the sum rises by rate times the squared norm of its gradient
      const rise = sum(during[0]) - sum(before[0]);
      expect(rise).toBeGreaterThan(1e-3);
      expect((sum(twice[0]) - sum(before[0])) / rise).toBeGreaterThan(1.5);
      expect((sum(twice[0]) - sum(before[0])) / rise).toBeLessThan(2.5);
      expect(await policy.logps(sequences)).toEqual(before);
      policy.dispose();
    },
  );
});

describe('the loop', () => {
  it('GRPO learns which digit follows: from chance to nearly always', async () => {
    const notes: string[] = [];
    const { status, log_history, ledger, profile } = await trainRl(
      optionsOf('grpo', 40, { beta: 0.001, num_generations: 32 }, { onNote: (text) => notes.push(text) }),
    );
    expect(status).toBe('finished');
    const [first, last] = [log_history.slice(0, 3), log_history.slice(-3)].map((l) => l.reduce((s, x) => s + (x.reward as number), 0) / 3);
    expect(first).toBeLessThan(0.3);
    expect(last).toBeGreaterThan(0.9);
    for (const name of ['reward', 'reward_std', 'frac_reward_zero_std', 'rewards/digit/mean', 'rewards/digit/std', 'kl', 'entropy', 'loss'])
      expect(Number.isFinite(log_history[0]?.[name])).toBe(true);
    for (const name of [
      'grad_norm',
      'completions/mean_length',
      'completions/clipped_ratio',
      'clip_ratio/region_mean',
      'step_time',
      'num_tokens',
    ])
      expect(Number.isFinite(log_history[0]?.[name])).toBe(true);
    expect(notes.join('\n')).toMatch(/loss is about 0 and yet the policy learns/);
    expect(ledger.tokens_generated).toBeGreaterThan(40 * 64);
    expect(profile.train as number).toBeGreaterThan(0);
    expect((profile.train as number) + (profile.decode as number)).toBeLessThan(profile.steps as number);
  }, 60_000);

  it.each(['remax', 'ppo', 'dapo', 'gspo', 'kl_cov', 'grpo+opo'])(
    '%s runs, changes the weights and keeps them finite',
    async (spec) => {
      const easy: NamedReward = { name: 'length', score: (_, completions) => completions.map((c) => c.length) };
      const result = await trainRl(optionsOf(spec, 2, { num_generations: 4 }, { rewards: [easy] }));
      expect(result.status).toBe('finished');
      const now = flat(result.params);
      expect(now.every(Number.isFinite)).toBe(true);
      expect(now.some((x, i) => x !== flat(params)[i])).toBe(true);
    },
    30_000,
  );

  it('says why nothing is learned where all rewards are equal, and leaves the start as it was', async () => {
    const notes: string[] = [];
    const before = flat(params);
    const nothing: NamedReward = { name: 'none', score: (_, completions) => completions.map(() => null) };
    await trainRl(optionsOf('grpo', 1, { beta: 0, num_generations: 4 }, { rewards: [nothing], onNote: (t) => notes.push(t) }));
    expect(notes.join('\n')).toMatch(/same reward.*frac_reward_zero_std/s);
    expect(notes.join('\n')).toMatch(/returned null/);
    expect(flat(params)).toEqual(before);
  });

  it('names a reward function that returns too little or no number', async () => {
    const short: NamedReward = { name: 'short', score: () => [1] };
    await expect(trainRl(optionsOf('grpo', 1, { num_generations: 4 }, { rewards: [short] }))).rejects.toThrow(
      /short returned 1 values for 8/,
    );
    const odd: NamedReward = { name: 'odd', score: (_, c) => c.map(() => Number.NaN) };
    await expect(trainRl(optionsOf('grpo', 1, { num_generations: 4 }, { rewards: [odd] }))).rejects.toThrow(/odd is NaN/);
  });
});

describe('resume', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'vitro-rl-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true, maxRetries: 3 }));

  it.each(['ppo', 'grpo+dynamic-sampling'])('%s: a run that was stopped ends with the same bits as one that was not', async (spec) => {
    const easy: NamedReward = { name: 'length', score: (_, completions) => completions.map((c) => c.length + (c.startsWith('a') ? 1 : 0)) };
    const settings = { num_generations: 4, mini_batch_size: 4, num_iterations: 2 };
    const whole = await trainRl(optionsOf(spec, 4, settings, { rewards: [easy] }));
    const store = () => new CheckpointStore(join(folder, spec), { identity: 'x' });
    const stop = new AbortController();
    const stopped = trainRl(
      optionsOf(spec, 4, settings, {
        rewards: [easy],
        checkpoints: store(),
        signal: stop.signal,
        onMetrics: (line) => line.global_step === 2 && stop.abort(),
      }),
    );
    await expect(stopped).rejects.toThrow(/abort/i);
    let resumedAt = 0;
    const resumed = await trainRl(
      optionsOf(spec, 4, settings, {
        rewards: [easy],
        checkpoints: store(),
        onResume: (at) => {
          resumedAt = at.global_step;
        },
      }),
    );
    expect(resumedAt).toBe(2);
    expect(flat(resumed.params)).toEqual(flat(whole.params));
    const timeless = resumed.log_history.map(({ step_time, ...line }) => line);
    expect(timeless).toEqual(whole.log_history.map(({ step_time, ...line }) => line));
  });
});
