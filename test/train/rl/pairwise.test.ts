import { describe, expect, it } from 'vitest';
import { schedules } from '../../../src/optim/schedule/index.js';
import { optimizers } from '../../../src/optim/transform/index.js';
import { type NDArray, type Tree, treeEntries } from '../../../src/tensor/index.js';
import type { CompletionRow } from '../../../src/train/rl/log.js';
import { type PromptRow, promptDataset } from '../../../src/train/rl/prompts.js';
import { trainRl } from '../../../src/train/rl.js';
import { contextOf, hostOf, recipeOf, tinyPolicy, tokenizer } from './support.js';
import { exact, said } from './worlds.js';

const rows: readonly PromptRow[] = [
  { prompt: '1+2', chosen: '3', rejected: '4', answer: '-' },
  { prompt: 'x', question: '5+5', chosen: '10', rejected: '1', answer: '-' },
  { prompt: '2+2=', answer: '4' },
];

describe('rrm', () => {
  const recipe = recipeOf('rrm');

  it('puts every pair in both orders, with the verdict that is right, and leaves other problems alone', async () => {
    const { prompts } = recipe.slots;
    const made = await prompts.next(5, promptDataset(rows, tokenizer), contextOf('prompts', recipe));
    const texts = made.map(({ text, columns }) => `${text} ${columns.answer}`);
    expect(texts.sort()).toEqual(['1+2?3|4 A', '1+2?4|3 B', '2+2= 4', '5+5?10|1 A', '5+5?1|10 B'].sort());
    for (const { text, tokens } of made) expect(tokenizer.decode(tokens)).toBe(text);
    // each problem once before any comes again, whatever is asked for at a time
    const context = contextOf('prompts', recipe);
    const ids = [];
    for (const count of [1, 2, 2]) ids.push(...(await prompts.next(count, promptDataset(rows, tokenizer), context)).map(({ id }) => id));
    expect(new Set(ids).size).toBe(3);
  });

  it('rewards verdicts that name the preferred answer with 1, all others with -1', async () => {
    const pair = { chosen: '3', rejected: '4' };
    const cases: readonly [text: string, answer: string, columns: object, reward: number][] = [
      ['1+2=3#A', 'A', pair, 1],
      ['1+2=3#A', 'B', pair, -1],
      ['#B#A', 'A', pair, 1],
      ['A', 'A', pair, -1],
      ['', 'A', pair, -1],
      ['#4', '4', {}, 1],
      ['#5', '4', {}, 0],
    ];
    const samples = cases.map(([text, answer, columns]) => said({ text, columns: { answer, ...columns } }));
    const scored = await recipe.slots.reward.score(samples, hostOf(recipe, [exact]).context('reward', recipe.slots.reward));
    expect(scored.map(({ reward }) => reward)).toEqual(cases.map(([, , , reward]) => reward));
  });

  it('has the advantages of a reward of 0 and 1, and of twice that without a standard deviation', async () => {
    const texts = ['#A', '#B', '#B', '?'];
    const value = async (spec: string, columns: object): Promise<number[]> => {
      const own = recipeOf(spec);
      const samples = texts.map((text) => said({ text, columns: { answer: 'A', ...columns } }));
      const scored = await own.slots.reward.score(samples, hostOf(own, [exact]).context('reward', own.slots.reward));
      const { RolloutBatch } = await import('../../../src/train/rl/batch.js');
      const batch = new RolloutBatch(scored);
      return [...own.slots.advantage.compute(batch, contextOf('advantage', own))];
    };
    const pair = { chosen: '3', rejected: '4' };
    const [judged, plain] = [await value('rrm', pair), await value('grpo', {})];
    // grpo adds 1e-4 to the standard deviation
    for (const [i, a] of judged.entries()) expect(a).toBeCloseTo(plain[i] as number, 3);
    const [centred, half] = [await value('dr_grpo+rrm', pair), await value('dr_grpo', {})];
    for (const [i, a] of centred.entries()) expect(a).toBeCloseTo(2 * (half[i] as number), 12);
  });

  it('trains in the loop on what it asks for, and changes the weights', async () => {
    const { model, params } = tinyPolicy(1);
    const [optimizer, schedule] = [optimizers.sgd, schedules.constant];
    if (!optimizer || !schedule) throw new Error('no such method');
    const seen: CompletionRow[] = [];
    const { status, params: after } = await trainRl({
      model,
      start: params,
      tokenizer,
      // one of two letters as the verdict, so that an untrained policy is right now and then
      recipe: recipeOf('rrm', {
        prompts_per_step: 4,
        num_generations: 8,
        max_completion_length: 6,
        rrm_ask: '!',
        rrm_labels: 'a,b',
        answer_pattern: '[ab]',
      }),
      optimizer: { method: optimizer, settings: { ...optimizer.defaults, learning_rate: 0.1 } },
      schedule: { method: schedule, settings: {} },
      args: { max_steps: 2, max_grad_norm: 0 },
      data: rows.slice(0, 2),
      rewards: [],
      seed: 1,
      threads: 1,
      onCompletions: (own) => seen.push(...own),
    });
    expect(status).toBe('finished');
    expect(new Set(seen.map(({ reward }) => reward))).toEqual(new Set([1, -1]));
    const numbers = (tree: typeof params): number[] => treeEntries<NDArray>(tree as Tree<NDArray>).flatMap(([, p]) => p.toNumbers());
    const [before, now] = [numbers(params), numbers(after)];
    expect(now.every(Number.isFinite)).toBe(true);
    expect(Math.max(...now.map((x, i) => Math.abs(x - (before[i] as number))))).toBeGreaterThan(1e-7);
  });
});
