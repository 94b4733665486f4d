import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Settings } from '../../../src/contracts/index.js';
import type { ParamTree } from '../../../src/nn/param.js';
import { schedules } from '../../../src/optim/schedule/index.js';
import { optimizers } from '../../../src/optim/transform/index.js';
import { type NDArray, type Tree, treeEntries } from '../../../src/tensor/index.js';
import { CheckpointStore } from '../../../src/train/checkpoints.js';
import type { MetricsLine } from '../../../src/train/pretrain.js';
import type { Auxiliary, NamedReward } from '../../../src/train/rl/contract.js';
import { type RlOptions, trainRl } from '../../../src/train/rl.js';
import { batchOf, hostOf, recipeOf, tinyPolicy, tokenizer } from './support.js';

const { model, params } = tinyPolicy(1);
const easy: NamedReward = {
  name: 'length',
  score: (_, completions) => completions.map((c) => (c.length % 2) + (c.startsWith('a') ? 1 : 0)),
};
const chosen = <M extends { readonly defaults: Settings }>(method: M | undefined, settings: Settings) => {
  if (!method) throw new Error('no such method');
  return { method, settings: { ...method.defaults, ...settings } };
};

const optionsOf = (spec: string, max_steps: number, settings: Settings = {}, more: Partial<RlOptions> = {}): RlOptions => ({
  model,
  start: params,
  tokenizer,
  recipe: recipeOf(spec, { prompts_per_step: 2, num_generations: 4, max_completion_length: 4, ...settings }),
  optimizer: chosen(optimizers.adam, { learning_rate: 0.02 }),
  schedule: chosen(schedules.constant, {}),
  args: { max_steps },
  data: ['a', 'b', 'c', 'd', 'e'].map((prompt) => ({ prompt })),
  rewards: [easy],
  seed: 1,
  threads: 1,
  ...more,
});
const flat = (tree: ParamTree<NDArray>): number[] => treeEntries<NDArray>(tree as Tree<NDArray>).flatMap(([, p]) => p.toNumbers());

describe('stale rollouts', () => {
  it('hand over the samples of some steps ago with the log-probabilities of their drawing, and nothing before', async () => {
    const recipe = recipeOf('grpo+stale-rollouts', { staleness: 2 });
    const { buffer } = recipe.slots;
    const host = hostOf(recipe);
    const fresh = [0, 1, 2, 3, 4].map((seed) =>
      batchOf(
        [1, 0].map((reward) => ({ group: `${seed}`, reward, length: 3 })),
        7 + seed,
      ),
    );
    const got = [];
    for (const batch of fresh) {
      // as if every step were resumed from a checkpoint
      host.restore(host.save());
      got.push(await buffer.exchange(batch, host.context('buffer', buffer)));
    }
    expect(got.map((g) => g.length)).toEqual([0, 0, 2, 2, 2]);
    for (const [i, own] of got.slice(2).entries())
      for (const [n, s] of own.entries()) {
        const then = fresh[i]?.samples[n];
        expect(s.segments).toEqual(then?.segments);
        expect([s.group, s.reward, s.trajectory.age]).toEqual([then?.group, then?.reward, 2]);
        expect(s.segments[0]).toBe(s.trajectory.segments[0]);
      }
  });

  it('the weights stand still until the first samples arrive, and ratios are no longer 1 then', async () => {
    const lines: MetricsLine[] = [];
    const run = (max_steps: number) =>
      trainRl(optionsOf('grpo+m2po+stale-rollouts', max_steps, { staleness: 2, m2_threshold: 0 }, { onMetrics: (l) => lines.push(l) }));
    expect(flat((await run(2)).params)).toEqual(flat(params));
    const { params: after, status } = await run(5);
    expect(status).toBe('finished');
    expect(flat(after)).not.toEqual(flat(params));
    const masked = lines.slice(2).map((l) => l['m2po/masked_mean']);
    expect(masked.slice(0, 2)).toEqual([undefined, undefined]);
    // step 2 trains on the start policy's samples with the start policy; from then on it has moved away from what drew them
    expect(masked[4]).toBeGreaterThan(0.05);
  }, 60_000);

  it('auxiliary losses train while no samples have arrived, also where the rollouts need a reference', async () => {
    const options = optionsOf('grpo+stale-rollouts', 1, { staleness: 3, beta: 0.1 });
    const demonstration: Auxiliary = {
      name: 'demonstration',
      sequences: () => [{ context: tokenizer.encode('a'), tokens: tokenizer.encode('1#'), weights: [0.5, 0.5] }],
    };
    const recipe = { ...options.recipe, slots: { ...options.recipe.slots, auxiliary: [demonstration] } };
    const { params: after, log_history } = await trainRl({ ...options, recipe });
    expect(flat(after)).not.toEqual(flat(params));
    expect(log_history[0]?.loss).toBeGreaterThan(1);
  }, 30_000);
});

describe('in the loop', () => {
  it.each(['bapo', 'gpg', 'rec', 'opmd', 'asymre', 'm2po', 'rs-grpo', 'spo', 'sfpo'])(
    '%s, alone and on stale samples of a composition, changes the weights and keeps them finite',
    async (id) => {
      for (const [spec, settings] of [
        [id, {}],
        [`grpo+${id}+stale-rollouts`, { staleness: 1 }],
      ] as const) {
        const { status, params: after, log_history } = await trainRl(optionsOf(spec, 3, settings));
        expect(status).toBe('finished');
        const now = flat(after);
        expect(now.every(Number.isFinite)).toBe(true);
        expect(now.some((x, i) => x !== flat(params)[i])).toBe(true);
        for (const line of log_history) for (const x of Object.values(line)) expect(Number.isFinite(x)).toBe(true);
      }
    },
    60_000,
  );

  it('a step of SPO draws as many completions as one of GRPO, each for another problem', async () => {
    const prompts: unknown[] = [];
    await trainRl(
      optionsOf(
        'spo',
        1,
        { prompts_per_step: 1, num_generations: 5 },
        { onCompletions: (rows) => prompts.push(...rows.map((r) => r.prompt)) },
      ),
    );
    expect([...prompts].sort()).toEqual(['a', 'b', 'c', 'd', 'e']);
  }, 30_000);

  it('SFPO takes four optimizer steps a batch', async () => {
    const { ledger } = await trainRl(optionsOf('grpo+sfpo', 1));
    const { ledger: plain } = await trainRl(optionsOf('grpo', 1));
    expect(ledger.tokens_trained).toBe(4 * plain.tokens_trained);
    expect(ledger.tokens_generated).toBe(plain.tokens_generated);
  }, 30_000);
});

describe('resume', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'vitro-stale-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true, maxRetries: 3 }));

  it.each(['spo+stale-rollouts', 'grpo+sfpo'])(
    '%s: a run that was stopped ends with the same bits as one that was not',
    async (spec) => {
      const settings: Settings = spec.includes('stale') ? { staleness: 1 } : {};
      const whole = await trainRl(optionsOf(spec, 4, settings));
      const checkpoints = () => new CheckpointStore(join(folder, spec), { identity: 'x' });
      const stop = new AbortController();
      const onMetrics = (line: MetricsLine) => line.global_step === 2 && stop.abort();
      await expect(trainRl(optionsOf(spec, 4, settings, { checkpoints: checkpoints(), signal: stop.signal, onMetrics }))).rejects.toThrow(
        /abort/i,
      );
      const resumed = await trainRl(optionsOf(spec, 4, settings, { checkpoints: checkpoints() }));
      expect(flat(resumed.params)).toEqual(flat(whole.params));
    },
    60_000,
  );
});
