import { describe, expect, it } from 'vitest';
import type { Settings } from '../../../src/contracts/index.js';
import type { ParamTree } from '../../../src/nn/param.js';
import { schedules } from '../../../src/optim/schedule/index.js';
import { optimizers } from '../../../src/optim/transform/index.js';
import { type NDArray, randomKey, type Tree, treeEntries } from '../../../src/tensor/index.js';
import type { MetricsLine } from '../../../src/train/pretrain.js';
import type { NamedReward } from '../../../src/train/rl/contract.js';
import { hiddenStates, outputErrors, rowsOf } from '../../../src/train/rl/parts/measures.js';
import { Policy } from '../../../src/train/rl/policy.js';
import { Stopwatch } from '../../../src/train/rl/stopwatch.js';
import { trainRl } from '../../../src/train/rl.js';
import { recipeOf, tinyPolicy, tokenizer } from './support.js';

/** Methods that read distributions, hidden states or entropies of the policy, in the loop. */

const { model, params } = tinyPolicy(1);
const flat = (tree: ParamTree<NDArray>): number[] => treeEntries<NDArray>(tree as Tree<NDArray>).flatMap(([, p]) => p.toNumbers());
const chosen = <M extends { readonly defaults: Settings }>(method: M | undefined, settings: Settings = {}) => {
  if (!method) throw new Error('no such method');
  return { method, settings: { ...method.defaults, ...settings } };
};
/** About half of the completions are right, so that most groups have both kinds. */
const even: NamedReward = { name: 'even', score: (_, completions) => completions.map((c) => (c.charCodeAt(0) % 2 === 0 ? 1 : 0)) };

async function run(
  spec: string,
  settings: Settings,
  steps = 2,
): Promise<{ readonly lines: readonly MetricsLine[]; readonly after: number[] }> {
  const lines: MetricsLine[] = [];
  const { status, params: after } = await trainRl({
    model,
    start: params,
    tokenizer,
    recipe: recipeOf(spec, { prompts_per_step: 2, num_generations: 6, max_completion_length: 5, ...settings }),
    optimizer: chosen(optimizers.adam, { learning_rate: 0.05 }),
    schedule: chosen(schedules.constant),
    args: { max_steps: steps },
    data: ['a', 'b', 'c'].map((prompt) => ({ prompt })),
    rewards: [even],
    seed: 2,
    threads: 1,
    onMetrics: (line) => lines.push(line),
  });
  expect(status).toBe('finished');
  return { lines, after: flat(after) };
}

describe('in the loop', () => {
  const plain = run('grpo', { num_iterations: 2 });

  it.each([
    ['troll', { num_iterations: 2 }, 'troll/projected_mean'],
    ['grpo+troll', { num_iterations: 2, troll_top_k: 8 }, 'troll/kl_mean'],
    ['rover', { num_iterations: 2 }, 'rover/next_mean'],
    ['grpo+eg-grpo', { num_iterations: 2 }, 'eg/gated_mean'],
    ['grpo+rl-zvp', { num_iterations: 2, num_generations: 2 }, 'reward'],
    ['grpo+thr', { num_iterations: 2 }, 'thr/kept_mean'],
    ['thr', { num_iterations: 2, thr_p: -0.2 }, 'thr/kept_mean'],
    ['grpo+dqo', { num_iterations: 2 }, 'rewards/volume/std'],
    ['drpo', { num_iterations: 2 }, 'drpo/kl'],
    ['alpha-dpg', { num_iterations: 2 }, 'alpha_dpg/z_mean'],
    ['grpo+alpha-dpg', { num_iterations: 2 }, 'alpha_dpg/z_mean'],
  ] as const)(
    '%s runs at %j, moves the weights elsewhere than GRPO and reports %s',
    async (spec, settings, metric) => {
      const { lines, after } = await run(spec, settings);
      expect(after.every(Number.isFinite)).toBe(true);
      const other = (await plain).after;
      const start = flat(params);
      expect(after.some((x, i) => x !== start[i])).toBe(true);
      expect(after.some((x, i) => Math.abs(x - (other[i] as number)) > 1e-6)).toBe(true);
      for (const line of lines) expect(Number.isFinite(line[metric])).toBe(true);
      expect(lines.some((line) => Math.abs(line[metric] as number) > 1e-9)).toBe(true);
    },
    60_000,
  );

  it('at one step a rollout TROLL is GRPO without a clip, and the parts work upon each other', async () => {
    const settings = { beta: 0, num_iterations: 1 };
    const [a, b] = [await run('grpo+troll', settings, 1), await run('grpo', settings, 1)];
    for (const [i, x] of a.after.entries()) expect(x).toBeCloseTo(b.after[i] as number, 3);
    const { after } = await run('grpo+rl-zvp+eg-grpo+dqo+troll', { num_iterations: 2 });
    expect(after.every(Number.isFinite)).toBe(true);
  }, 60_000);
});

describe('measures', () => {
  it('errors are the drawn token less the softmax of the head on the hidden states', async () => {
    const recipe = recipeOf('grpo');
    const policy = new Policy({
      model,
      tokenizer,
      view: recipe.slots.policyView,
      eos: new Set([2]),
      watch: new Stopwatch(),
      threads: 1,
      settings: () => recipe.settings,
      params: () => params,
      reference: () => undefined,
      key: () => randomKey(4),
      generated: () => undefined,
      scored: () => undefined,
    });
    const sequences = ['12+7=19', 'ab'].map((text) => ({ context: tokenizer.encode('q'), tokens: tokenizer.encode(text) }));
    const [hidden, errors] = [await policy.measure(sequences, hiddenStates), await policy.measure(sequences, outputErrors)];
    policy.dispose();
    const [, table] = treeEntries<NDArray>(params as Tree<NDArray>).find(([path]) => path.startsWith('embed')) as [string, NDArray];
    const head = table.toNested() as number[][];
    for (const [i, { tokens }] of sequences.entries()) {
      const states = rowsOf(hidden[i] as Float64Array, tokens.length);
      for (const [j, row] of rowsOf(errors[i] as Float64Array, tokens.length).entries()) {
        const weights = head.map((w) => Math.exp(w.reduce((s, x, d) => s + x * (states[j]?.[d] as number), 0)));
        const total = weights.reduce((a, b) => a + b, 0);
        for (const [v, w] of weights.entries()) expect(row[v]).toBeCloseTo((tokens[j] === v ? 1 : 0) - w / total, 5);
      }
    }
  });
});
