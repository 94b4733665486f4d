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
import type { NamedReward } from '../../../src/train/rl/contract.js';
import type { CompletionRow } from '../../../src/train/rl/log.js';
import { type RlOptions, trainRl } from '../../../src/train/rl.js';
import { recipeOf, tinyPolicy, tokenizer } from './support.js';

/** Methods with rewards of their own, run through the loop. */

const { model, params } = tinyPolicy(1);
const start = (tree: ParamTree<NDArray>): number[] => treeEntries<NDArray>(tree as Tree<NDArray>).flatMap(([, p]) => p.toNumbers());
const data = [1, 2, 3].map((i) => ({
  prompt: `${i},+4=`,
  paraphrase: `4,+${i}=`,
  steps: [`${i}+1=${i + 1}`, `${i + 1}+3=${i + 4}`],
  answer: `${i + 4}`,
}));
const forbidden: NamedReward = { name: 'gold', score: () => Promise.reject(new Error('label-free training asked for the gold reward')) };
const digits: NamedReward = { name: 'exact', score: (_, completions) => completions.map((c) => (/\d/.test(c) ? 1 : 0)) };
const dense: NamedReward = { name: 'model', score: (_, completions) => completions.map((c) => c.length / 7) };

async function run(spec: string, settings: Settings, rewards: readonly NamedReward[], steps = 2, more: Partial<RlOptions> = {}) {
  const lines: MetricsLine[] = [];
  const rows: CompletionRow[][] = [];
  const [optimizer, schedule] = [optimizers.sgd, schedules.constant];
  if (!optimizer || !schedule) throw new Error('no such method');
  const result = await trainRl({
    model,
    start: params,
    tokenizer,
    recipe: recipeOf(spec, { prompts_per_step: 2, num_generations: 6, max_completion_length: 10, ...settings }),
    optimizer: { method: optimizer, settings: { ...optimizer.defaults, learning_rate: 0.1 } },
    schedule: { method: schedule, settings: {} },
    args: { max_steps: steps, max_grad_norm: 0 },
    data,
    rewards,
    seed: 2,
    threads: 1,
    onMetrics: (line) => lines.push(line),
    onCompletions: (own) => rows.push([...own]),
    ...more,
  });
  return { ...result, lines, rows };
}

const anyDigit = { answer_pattern: '\\d' };
const letters = { answer_marker: 'e', step_separator: 'o' };

describe('methods with rewards of their own change the weights and keep them finite', () => {
  it.each<readonly [string, Settings, readonly NamedReward[]]>([
    ['ttrl', anyDigit, [forbidden]],
    ['restrain', { ...anyDigit, min_majority: 0.4 }, [forbidden]],
    ['grpo+restrain', { ...anyDigit, beta: 0, prompt_weighting: false }, [forbidden]],
    ['self-harmony', anyDigit, [forbidden]],
    ['intuitor', {}, [forbidden]],
    ['verifree', { answer_marker: 'e', num_generations: 12 }, [forbidden]],
    ['grpo+verifree', { answer_marker: 'e', num_generations: 12 }, [forbidden]],
    ['srl', {}, [forbidden]],
    ['grpo+srl', {}, [forbidden]],
    ['repro', letters, [digits]],
    ['dr_grpo+repro', letters, [digits]],
    ['rlcr', {}, [digits]],
    ['hero', {}, [digits, dense]],
    ['dapo+hero', {}, [digits, dense]],
  ])(
    '%s %o',
    async (spec, settings, rewards) => {
      const { status, params: after, lines } = await run(spec, settings, rewards);
      expect(status).toBe('finished');
      const now = start(after);
      expect(now.every(Number.isFinite)).toBe(true);
      expect(now.some((x, i) => x !== start(params)[i])).toBe(true);
      for (const line of lines) expect(Number.isFinite(line.loss)).toBe(true);
    },
    30_000,
  );
});

describe('VeriFree', () => {
  it('with one completion a problem, the loss is the likelihood-weighted one of the reference answer alone', async () => {
    const { lines, rows } = await run(
      'verifree',
      { answer_marker: 'e', num_generations: 1, prompts_per_step: 12, kl_coef: 0, max_completion_length: 30 },
      [],
      1,
    );
    const likelihoods = (rows[0] ?? []).map((r) => r['rewards/likelihood'] as number);
    expect(likelihoods).toHaveLength(12);
    expect(likelihoods.filter((p) => p > 0).length).toBeGreaterThan(1);
    const expected = likelihoods.reduce((sum, p) => sum - (p > 0 ? (p * Math.log(p)) / 12 : 0), 0);
    expect(Math.abs((lines[0]?.loss as number) / expected - 1)).toBeLessThan(1e-3);
  });
});

describe('SRL', () => {
  it('completions end with the step', async () => {
    const { rows } = await run('srl', { step_separator: 'e', num_generations: 16, max_completion_length: 30 }, [], 1);
    const stopped = (rows[0] ?? []).filter((r) => r.finish_reason === 'stop');
    expect(stopped.length).toBeGreaterThan(0);
    for (const r of rows[0] ?? []) expect(String(r.completion)).not.toContain('e');
  });
});

describe('RESTRAIN', () => {
  it('votes of the reference are generated tokens, once for each problem', async () => {
    const settings = { ...anyDigit, num_generations: 4, max_completion_length: 5 };
    const without = await run('restrain', { ...settings, prompt_weighting: false, beta: 0 }, [], 1);
    const once = await run('restrain', settings, [], 1);
    expect(without.ledger.tokens_generated).toBeLessThanOrEqual(2 * 4 * 5);
    expect(once.ledger.tokens_generated).toBeGreaterThan(1.5 * without.ledger.tokens_generated);
    const later = await run('restrain', settings, [], 6);
    expect(later.ledger.tokens_generated).toBeLessThanOrEqual((6 * 2 + 3) * 4 * 5);
  }, 30_000);
});

describe('resume', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'vitro-rewards-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true, maxRetries: 3 }));

  it.each<readonly [string, Settings]>([
    ['restrain', anyDigit],
    ['hero', {}],
    ['srl', {}],
  ])(
    '%s: what it keeps survives a stop',
    async (spec, settings) => {
      const whole = await run(spec, settings, [digits, dense], 3);
      const store = () => new CheckpointStore(join(folder, spec), { identity: 'x' });
      const stop = new AbortController();
      const more = { checkpoints: store(), signal: stop.signal, onMetrics: (line: MetricsLine) => line.global_step === 2 && stop.abort() };
      await expect(run(spec, settings, [digits, dense], 3, more as Partial<RlOptions>)).rejects.toThrow(/abort/i);
      const resumed = await run(spec, settings, [digits, dense], 3, { checkpoints: store() });
      expect(start(resumed.params)).toEqual(start(whole.params));
    },
    30_000,
  );
});
