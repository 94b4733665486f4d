import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createDataset, extractSteps } from '../../src/data/tasks/index.js';
import { baseIdentity, shippedBases } from '../../src/lab/bases/index.js';
import { noisyDocument, verboseDocument } from '../../src/lab/bases/styles.js';
import { packageRoot } from '../../src/lab/catalogue/catalogue.js';
import { parseSettings } from '../../src/lab/recipe.js';
import { recipeFor } from '../../src/lab/runs.js';
import { findTestbed } from '../../src/lab/testbeds/index.js';
import { completionMetrics, type EvaluationSet } from '../../src/lab/testbeds/rl/evaluate.js';
import { exactReward, taskProblems } from '../../src/lab/testbeds/rl/problems.js';

const testbed = findTestbed('countdown-s');

describe('compositions in recipes', () => {
  it('joins methods of a slot whose methods compose, and lets other slots take one', () => {
    const recipe = recipeFor(testbed, 'grpo+opo+muon');
    expect(recipe.rl?.method).toBe('grpo+opo');
    expect(recipe.optimizer?.method).toBe('muon');
    expect(recipeFor(testbed, 'muon').rl?.method).toBe('grpo');
  });

  it('has the settings of all parts: defaults, then what the testbed shares, then what the user gave', () => {
    const recipe = recipeFor(testbed, 'grpo+clip-higher', parseSettings(['rl.beta=0.5', 'clip-higher.epsilon_high=0.3']));
    expect(recipe.rl?.settings).toMatchObject({
      num_generations: 8,
      max_completion_length: 40,
      beta: 0.5,
      epsilon: 0.2,
      epsilon_high: 0.3,
    });
    expect(recipeFor(testbed, 'grpo').rl?.settings).toMatchObject({ beta: 0 });
  });

  it.each([
    ['grpo+opo+clip-higher', /opo and clip-higher clash|clip-higher clashes/],
    ['grpo+softmax', /does not use/],
    ['grpo+adamw+muon', /clash/],
  ])('refuses %s', (spec, message) => {
    expect(() => recipeFor(testbed, spec)).toThrow(message);
  });
});

describe('metrics of sampled completions', () => {
  const dataset = createDataset('countdown', { size: 2, seed: 3, min_difficulty: 3, max_difficulty: 3 });
  const problems = taskProblems([dataset]);
  const right = problems.rows.map((r) => r.solution as string);
  const set: EvaluationSet = { name: '', problems, samples: 4, max_completion_length: 50 };
  const texts = [right[0], right[0], '#1+1', 'nothing', right[1], '#0', '#0', '#0'] as string[];

  it('agree with counting by hand', () => {
    const lengths = [10, 20, 5, 50, 30, 2, 2, 2];
    const completions = texts.map((text, i) => {
      const row = problems.rows[Math.floor(i / 4)] as (typeof problems.rows)[number];
      return { row, text, length: lengths[i] as number, score: problems.judge(text, row) };
    });
    const got = completionMetrics(set, completions);
    expect(got['pass@1']).toBeCloseTo((2 / 4 + 1 / 4) / 2, 12);
    expect(got['pass@4']).toBe(1);
    expect(got['distinct@4']).toBe(1);
    expect(got.length).toBeCloseTo(121 / 8, 12);
    expect(got.concise).toBeCloseTo((0.8 + 0.6 + 0.4) / 8, 12);
    expect(got['cot_pass@1']).toBeCloseTo((2 / 4 + 1 / 4) / 2, 12);
  });

  it('the reward is 1 for right answers alone, whatever the order of the rows', async () => {
    const reward = exactReward(problems);
    const order = [1, 0];
    const scores = await reward.score(
      order.map((i) => problems.rows[i]?.prompt as string),
      order.map((i) => right[i] as string),
      { index: order },
    );
    expect(scores).toEqual([1, 1]);
    const swapped = await reward.score(['', ''], [right[0] as string, '#1'], { index: order });
    expect(swapped[1]).toBe(0);
  });

  it('strict problems want the chain too', () => {
    const strict = taskProblems([dataset], { strict: true });
    const row = strict.rows[0] as (typeof strict.rows)[number];
    const answer = (row.solution as string).slice((row.solution as string).indexOf('#'));
    expect(problems.judge(answer, row)).toBe(1);
    expect(strict.judge(answer, row)).toBe(0);
    expect(strict.judge(row.solution as string, row)).toBe(1);
  });
});

describe('base models', () => {
  it.each(shippedBases.map((b) => [b.id, b] as const))('%s in the package is what its recipe makes', async (id, base) => {
    const written = JSON.parse(await readFile(join(packageRoot, 'assets/bases', id, 'base.json'), 'utf8')) as { identity: string };
    expect(written.identity).toBe(baseIdentity(base));
  });

  it('training and test problems of a task share none', () => {
    const of = (split: string) =>
      new Set(
        taskProblems([createDataset('countdown', { size: 300, seed: 1, split, min_difficulty: 3, max_difficulty: 3 })]).rows.map(
          (r) => r.prompt,
        ),
      );
    const train = of('train');
    expect([...of('test')].filter((p) => train.has(p))).toEqual([]);
  });

  it('careless solutions are wrong in about three of ten steps and go on from what they wrote', () => {
    const tasks = createDataset('chain-arithmetic', { size: 400, seed: 4, min_difficulty: 4, max_difficulty: 4 });
    let [wrong, all] = [0, 0];
    for (let i = 0; i < tasks.length; i++) {
      const { completion } = noisyDocument(tasks.entry(i), i);
      const steps = extractSteps(completion);
      steps.forEach((step, k) => {
        const [, a, op, b, c] = /^(-?\d+)([-+*])(\d+)=(-?\d+)$/.exec(step) as RegExpExecArray;
        const [x, y] = [Number(a), Number(b)];
        const value = op === '+' ? x + y : op === '-' ? x - y : x * y;
        if (value !== Number(c)) wrong++;
        all++;
        if (k > 0) expect(a).toBe(steps[k - 1]?.split('=')[1]);
      });
      expect(completion.endsWith(`#${steps.at(-1)?.split('=')[1]}`)).toBe(true);
    }
    expect(wrong / all).toBeGreaterThan(0.24);
    expect(wrong / all).toBeLessThan(0.36);
  });

  it('verbose solutions are right and longer', () => {
    const tasks = createDataset('chain-arithmetic', { size: 50, seed: 4, min_difficulty: 3, max_difficulty: 3 });
    let longer = 0;
    for (let i = 0; i < 50; i++) {
      const entry = tasks.entry(i);
      const { completion } = verboseDocument(entry, i);
      expect(tasks.score(tasks.extract(completion) as string, entry)).toBe(1);
      if (completion.length > entry.solution.length) longer++;
    }
    expect(longer).toBeGreaterThan(35);
  });
});
