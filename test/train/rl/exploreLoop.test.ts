import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Settings } from '../../../src/contracts/index.js';
import { schedules } from '../../../src/optim/schedule/index.js';
import { optimizers } from '../../../src/optim/transform/index.js';
import { type NDArray, type Tree, treeEntries } from '../../../src/tensor/index.js';
import { CheckpointStore } from '../../../src/train/checkpoints.js';
import type { MetricsLine } from '../../../src/train/pretrain.js';
import type { NamedReward } from '../../../src/train/rl/contract.js';
import { type RlOptions, trainRl } from '../../../src/train/rl.js';
import { problems } from './slots.js';
import { recipeOf, tinyPolicy, tokenizer } from './support.js';

/** Choices of problems, hints and rollouts in the loop. */

const { model, params } = tinyPolicy(1);
/** Right in about half of all cases, whatever is written. */
const odd: NamedReward = { name: 'odd', score: (_, completions) => completions.map((c) => c.length % 2) };
/** Right only where the completion holds an equals sign, which the hints bring. */
const marked: NamedReward = { name: 'marked', score: (_, completions) => completions.map((c) => (c.includes('=') ? 1 : 0)) };
const data = Array.from({ length: 8 }, (_, i) => {
  const { text, columns } = problems.prompt(i);
  return { ...columns, prompt: text };
});

const optionsOf = (spec: string, max_steps: number, settings: Settings, more: Partial<RlOptions> = {}): RlOptions => {
  const [sgd, constant] = [optimizers.sgd, schedules.constant];
  if (!sgd || !constant) throw new Error('no such method');
  return {
    model,
    start: params,
    tokenizer,
    recipe: recipeOf(spec, { prompts_per_step: 2, num_generations: 4, max_completion_length: 5, beta: 0, ...settings }),
    optimizer: { method: sgd, settings: { ...sgd.defaults, learning_rate: 0.1 } },
    schedule: { method: constant, settings: {} },
    args: { max_steps },
    data,
    rewards: [odd],
    seed: 1,
    threads: 1,
    ...more,
  };
};

const flat = (tree: unknown): number[] => treeEntries<NDArray>(tree as Tree<NDArray>).flatMap(([, p]) => p.toNumbers());

describe('three steps', () => {
  it.each<readonly [string, Settings, Partial<RlOptions>, (lines: readonly MetricsLine[]) => void]>([
    ['grpo+bots', {}, {}, () => undefined],
    ['grpo+dps', { dps_candidates: 2 }, {}, () => undefined],
    ['grpo+e2h', {}, {}, () => undefined],
    ['grpo+questa', {}, {}, () => undefined],
    ['grpo+adaback', {}, {}, (lines) => expect(lines[0]?.revealed).toBeGreaterThan(0)],
    ['grpo+scaf-grpo', { scaf_exempt: 0 }, { rewards: [marked] }, (lines) => expect(lines[0]?.scaf_stuck).toBe(0.5)], // a problem of one step has no hint to show
    ['grpo+hipo', { hipo_below: 1 }, {}, (lines) => expect(lines[0]?.hipo_groups).toBeDefined()],
    ['grpo+eepo', { eepo_entropy: 10 }, {}, (lines) => expect(lines.map((l) => l.eepo_forgets)).toEqual([0, 1, 1])],
    ['grpo+latr', { latr_least: 0, latr_gap: 1 }, {}, (lines) => expect(lines[0]?.latr_leaves).toBeGreaterThan(1)],
    ['deepsearch', {}, {}, (lines) => expect(lines[0]?.deepsearch_nodes).toBeGreaterThan(0)],
  ])('of %s change the weights', async (spec, settings, more, check) => {
    const lines: MetricsLine[] = [];
    const { status, params: after } = await trainRl(optionsOf(spec, 3, settings, { onMetrics: (l) => lines.push(l), ...more }));
    expect(status).toBe('finished');
    const [from, to] = [flat(params), flat(after)];
    expect(to.every(Number.isFinite)).toBe(true);
    expect(to).not.toEqual(from);
    expect(lines).toHaveLength(3);
    check(lines);
  });
});

describe('compositions', () => {
  let folder = '';
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'vitro-explore-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it.each([
    ['grpo+bots+adaback+eepo', { eepo_entropy: 10 }],
    ['deepsearch+dps', { dps_candidates: 2, deepsearch_replay: 1 }],
  ])('%s goes on from a checkpoint to the same bits', async (spec, settings) => {
    const straight = await trainRl(optionsOf(spec, 4, settings));
    const store = () => new CheckpointStore(join(folder, spec), { identity: 'x' });
    const stop = new AbortController();
    const onMetrics = (l: MetricsLine): void => {
      if (l.global_step === 2) stop.abort(new Error('stopped'));
    };
    const stopped = trainRl(optionsOf(spec, 4, settings, { checkpoints: store(), signal: stop.signal, onMetrics }));
    await expect(stopped).rejects.toThrow('stopped');
    let from = 0;
    const onResume: RlOptions['onResume'] = ({ global_step }) => {
      from = global_step;
    };
    const resumed = await trainRl(optionsOf(spec, 4, settings, { checkpoints: store(), onResume }));
    expect(from).toBe(2);
    expect(flat(resumed.params)).toEqual(flat(straight.params));
  });
});
