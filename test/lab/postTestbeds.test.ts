import { describe, expect, it } from 'vitest';
import { Draws } from '../../src/data/probes/draws.js';
import { createDataset, preferenceLexicon, preferenceRatings, preferenceUtility, taskTokenizer } from '../../src/data/tasks/index.js';
import { tasksBase } from '../../src/lab/bases/index.js';
import { completeRecipe } from '../../src/lab/recipe.js';
import { bandit, banditPairs, banditTestbed, expectedReward } from '../../src/lab/testbeds/post/bandit.js';
import { chainText, wrongChain } from '../../src/lab/testbeds/post/chains.js';
import { postTestbeds } from '../../src/lab/testbeds/post/index.js';
import { areaUnderRoc, demonstrations } from '../../src/lab/testbeds/post/measures.js';
import { numberRows } from '../../src/lab/testbeds/post/numbers.js';
import { candidatesOf, encodePairs, pairsOf, promptsOf, ratingsOf } from '../../src/lab/testbeds/post/pairs.js';
import { stepRows } from '../../src/lab/testbeds/post/rewards.js';
import { noisySolution } from '../../src/lab/testbeds/post/sft.js';
import { subtaskPairs } from '../../src/lab/testbeds/post/subtasks.js';
import { type PostTestbedAbout, postTestbed } from '../../src/lab/testbeds/post/testbed.js';
import { foldIn, randomKey } from '../../src/tensor/random/threefry.js';
import { preferences } from '../../src/train/prefer/index.js';
import { rewardModels } from '../../src/train/reward/index.js';
import { sfts } from '../../src/train/sft/index.js';

/** Whether a step of arithmetic, `7+5=12`, is right. */
function stepIsRight(step: string): boolean {
  const [, a, sign, b, result] = /^(\d+)([+*-])(\d+)=(\d+)$/.exec(step) ?? [];
  const value = sign === '+' ? Number(a) + Number(b) : sign === '-' ? Number(a) - Number(b) : Number(a) * Number(b);
  return value === Number(result);
}

const share = (values: readonly boolean[]): number => values.filter(Boolean).length / values.length;

describe('testbeds of fine-tuning, preferences and reward models', () => {
  it('are those that the methods declare', () => {
    const ids = postTestbeds.map((t) => t.id);
    for (const [methods, baselines] of [
      [sfts, sfts],
      [preferences, preferences],
      [rewardModels, rewardModels],
    ] as const)
      for (const { id, demo } of Object.values(methods)) {
        if (!demo) continue;
        expect(ids, id).toContain(demo.testbed);
        expect(Object.keys(baselines), id).toContain(demo.baseline);
        expect(postTestbeds.find((t) => t.id === demo.testbed)?.metric, id).toBe(demo.metric);
      }
  });

  it('run: two steps of fine-tuning, with the metrics of the loop and those of the testbed', async () => {
    const dataset = createDataset('parity', { size: 24, seed: 1, min_difficulty: 2, max_difficulty: 3 });
    const about: PostTestbedAbout = {
      id: 'two-steps',
      summary: 'a test',
      slot: 'sft-loss',
      metric: 'eval_moved',
      better: 'higher',
      margin: 0,
      base: tasksBase,
      args: { max_steps: 2 },
      batch: { batch_size: 4, context: 24 },
      rates: [1e-3, 2e-3, 3e-3],
      measured: 'nothing',
      data: async (_, seed) => {
        expect(seed).toBe(3);
        const set = await demonstrations([dataset], 24);
        return { train: set, evaluation: set };
      },
      measure: async ({ method }, { eval_loss }) => ({ eval_moved: method.method === 'dft' ? (eval_loss as number) : Number.NaN }),
    };
    const testbed = postTestbed(about);
    const recipe = completeRecipe(testbed, 'dft');
    expect(recipe.optimizer?.settings.learning_rate).toBe(2e-3);
    const lines: Readonly<Record<string, number | null>>[] = [];
    const { status, metrics, ledger } = await testbed.run(recipe, { seed: 3, threads: 1, onMetrics: (line) => lines.push(line) });
    expect(status).toBe('finished');
    expect(metrics.eval_moved).toBe(metrics.eval_loss);
    expect(ledger.tokens_trained).toBe(2 * 4 * 24);
    expect(lines.at(-1)).toMatchObject({ global_step: 2, eval_moved: metrics.eval_loss });
  });
});

describe('the preference world of these testbeds', () => {
  const train = pairsOf({ size: 150, seed: 100, split: 'train', length_cue: 0.9 });
  const tests = pairsOf({ size: 60, seed: 12, split: 'test' });

  it('shows two users, shares no prompt between training and tests, and has legal responses within the context', async () => {
    const shown = new Set(train.map((p) => p.prompt));
    for (const { prompt, entry, chosen, rejected } of [...train, ...tests]) {
      expect(entry.metadata.user).toBeLessThan(2);
      expect(preferenceUtility(chosen.slice(1), entry)).not.toBeNull();
      expect(preferenceUtility(rejected.slice(1), entry)).not.toBeNull();
      expect(prompt).toMatch(/^u[01]:([a-zA-D] ){3,4}[a-zA-D]=$/);
    }
    for (const { prompt } of tests) expect(shown.has(prompt)).toBe(false);
    const { dataset, numbers } = promptsOf(40, 12, 'test');
    for (const i of numbers) expect(shown.has(dataset.entry(i).prompt)).toBe(false);
    expect((await encodePairs(train)).examples).toHaveLength(train.length);
  });

  it('has longer chosen responses as often as was asked', () => {
    expect(share(train.map((p) => p.chosen.length > p.rejected.length))).toBeGreaterThan(0.82);
    expect(share(tests.map((p) => p.chosen.length > p.rejected.length))).toBeLessThan(0.75);
  });

  it('rates attributes so that they add up to the utility', () => {
    for (const pair of tests) {
      const ratings = ratingsOf(pair);
      const sum = (from: number): number => 2 * ratings.slice(from, from + 4).reduce((a, b) => a + b, 0);
      expect([sum(0), sum(4)]).toEqual([pair.utilities.chosen, pair.utilities.rejected]);
    }
    expect(preferenceRatings('nothing', (tests[0] as (typeof tests)[0]).entry)).toBeNull();
  });

  it('offers legal candidates whose length does not depend on their worth', () => {
    const entries = promptsOf(80, 12, 'test');
    const all = entries.numbers.flatMap((i) => {
      const entry = entries.dataset.entry(i);
      return candidatesOf(entry, 8, 4, i).map((c) => ({
        length: c.split(' ').length,
        utility: preferenceUtility(c.slice(1), entry),
        words: c.slice(1).split(' '),
      }));
    });
    const { fillers } = preferenceLexicon(0, true);
    const padding = all.map(({ words }) => words.filter((w) => fillers.includes(w)).length);
    expect(new Set(padding)).toEqual(new Set([0, 1, 2, 3, 4]));
    const utilities = all.map(({ utility }) => utility as number);
    const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
    const covariance = mean(padding.map((n, i) => (n - mean(padding)) * ((utilities[i] as number) - mean(utilities))));
    const spread = (v: readonly number[]): number => Math.sqrt(mean(v.map((x) => (x - mean(v)) ** 2)));
    expect(Math.abs(covariance / spread(padding) / spread(utilities))).toBeLessThan(0.12);
  });
});

describe('chains with a slip', () => {
  const dataset = createDataset('chain-arithmetic', { size: 60, seed: 5, min_difficulty: 3, max_difficulty: 5 });

  it('are right but for one step, go on from its result, and end in another answer', () => {
    for (let i = 0; i < dataset.length; i++) {
      const entry = dataset.entry(i);
      const wrong = wrongChain(entry, foldIn(randomKey(7), i));
      if (!wrong) throw new Error(`no slip in ${entry.prompt}`);
      expect(wrong.steps.map(stepIsRight)).toEqual(wrong.steps.map((_, k) => k !== wrong.first_wrong));
      for (const [k, step] of wrong.steps.entries())
        if (k > 0) expect(step.startsWith(`${(wrong.steps[k - 1] as string).split('=')[1]}`)).toBe(true);
      expect(wrong.answer).not.toBe(entry.answer);
      expect(dataset.judgeSteps(chainText(wrong), entry).right.indexOf(false)).toBe(wrong.first_wrong);
    }
  });

  it('make stepwise rows in turn with worked solutions; labels end where the slip is', () => {
    const rows = stepRows('train', 40, 3);
    expect(share(rows.map((r) => r.outcome === 1))).toBe(0.5);
    for (const { completions, labels, outcome } of rows) {
      const first = completions.map(stepIsRight).indexOf(false);
      expect(labels).toEqual(completions.map((_, k) => first < 0 || k < first));
      expect(outcome === 1).toBe(first < 0);
    }
    const seen = new Set(rows.map((r) => r.prompt));
    for (const { prompt } of stepRows('test', 40, 12)) expect(seen.has(prompt)).toBe(false);
  });

  it('make pairs of three levels whose prompts hold what went before', () => {
    const pairs = subtaskPairs('train', 30, 9);
    expect(new Set(pairs.map((p) => p.level))).toEqual(new Set([0, 1, 2]));
    expect(new Set(pairs.filter((p) => p.level === 2).map((p) => p.length_bucket))).toEqual(new Set([1, 2, 3]));
    expect(new Set(pairs.filter((p) => p.level === 2).map((p) => p.difficulty_bucket))).toEqual(new Set([1, 2, 3]));
    const stepsOf = (text: string): string[] =>
      text
        .split('#')[0]
        ?.split(';')
        .filter((s) => s !== '') ?? [];
    for (const { prompt, chosen, rejected, level } of pairs) {
      expect(stepsOf(chosen).every(stepIsRight)).toBe(true);
      expect(stepsOf(rejected).filter((s) => !stepIsRight(s))).toHaveLength(1);
      expect(stepsOf(prompt.slice(prompt.indexOf('=') + 1)).every(stepIsRight)).toBe(true);
      expect(chosen.endsWith('<eos>')).toBe(level === 0);
      if (level === 1) expect(stepsOf(chosen)).toHaveLength(1);
    }
    expect(taskTokenizer().encode('#7<eos>').at(-1)).toBe(taskTokenizer().eos_token_id);
  });
});

describe('further data', () => {
  it('numbers: no pair of numbers is in training and tests, and the noise has the stated spread', () => {
    const [train, tests] = [numberRows({ size: 600, seed: 1, split: 'train' }), numberRows({ size: 100, seed: 2, split: 'test' })];
    const seen = new Set(train.map((r) => r.prompt));
    for (const row of tests) {
      expect(seen.has(row.prompt)).toBe(false);
      expect(Number(row.completion.slice(1))).toBe(Math.round(row.value));
    }
    const errors = train.map((r) => Number(r.completion.slice(1)) - r.value);
    const deviation = Math.sqrt(errors.reduce((n, e) => n + e * e, 0) / errors.length);
    expect(deviation).toBeGreaterThan(2.6);
    expect(deviation).toBeLessThan(3.4);
    for (const { completion } of train) expect(completion).toMatch(/^#\d\d$/);
  });

  it('noise changes half of the solutions, and not their length', () => {
    const text = '3+4=7;7*2=14;14-5=9#9';
    const noisy = Array.from({ length: 400 }, (_, i) => noisySolution(text, new Draws(randomKey(i))));
    // half are left alone, and of the others those whose characters all stay: (1 - 0.1 * 15 / 16)^21 = 0.13 of them
    expect(share(noisy.map((t) => t === text))).toBeGreaterThan(0.49);
    expect(share(noisy.map((t) => t === text))).toBeLessThan(0.64);
    for (const t of noisy) expect(t).toHaveLength(text.length);
  });

  it('the area under the curve counts pairs, ties half', () => {
    const scores = [0.1, 0.4, 0.4, 0.8, 0.8, 0.9, 0.2];
    const positive = [false, true, false, true, false, true, false];
    let [won, pairs] = [0, 0];
    scores.forEach((a, i) => {
      scores.forEach((b, j) => {
        if (!positive[i] || positive[j]) return;
        pairs++;
        won += a > b ? 1 : a === b ? 0.5 : 0;
      });
    });
    expect(areaUnderRoc(scores, positive)).toBeCloseTo(won / pairs, 12);
  });
});

describe('the bandit', () => {
  it('has rewards that no policy of the class expresses, and a best response that most pairs leave out', () => {
    const [f, r] = [bandit.features, bandit.rewards];
    // rewards in the class would be theta f + constant
    expect((r[1] - r[0]) / (f[1] - f[0])).not.toBeCloseTo((r[2] - r[0]) / (f[2] - f[0]), 6);
    expect(expectedReward(0)).toBeCloseTo((r[0] + r[1] + r[2]) / 3, 12);
    expect(expectedReward(20)).toBeCloseTo(r[1], 6);
    const pairs = banditPairs(1);
    expect(share(pairs.map(({ columns }) => columns?.response_ids?.includes(1) === true))).toBeLessThan(0.2);
    for (const { sequences, columns } of pairs) expect(sequences.map(({ ids }) => ids[1])).toEqual(columns?.response_ids);
  });

  it('is turned away from the best response by dpo, as gradient descent on the expected loss is', async () => {
    const pairs = banditPairs(101).map(({ columns }) => columns?.response_ids as readonly [number, number]);
    let theta = 0;
    for (let step = 0; step < 4000; step++)
      for (const [c, d] of pairs) {
        const gap = 0.1 * ((bandit.features[c] as number) - (bandit.features[d] as number));
        theta += ((40 / pairs.length) * gap) / (1 + Math.exp(gap * theta));
      }
    const recipe = completeRecipe(banditTestbed, 'dpo', { optimizer: { learning_rate: 0.1 } });
    const { metrics } = await banditTestbed.run(recipe, { seed: 1, threads: 1 });
    expect(theta).toBeLessThan(0);
    expect(metrics.theta).toBeLessThan(0);
    expect(metrics.eval_utility).toBeCloseTo(expectedReward(metrics.theta as number), 6);
    expect(Math.abs((metrics.theta as number) - theta)).toBeLessThan(0.6);
  });

  it('is led to the best response by offsets that responses share, as gradient descent on the penalised loss is', async () => {
    const pairs = banditPairs(101).map(({ columns }) => columns?.response_ids as readonly [number, number]);
    const middle = bandit.features.reduce((a: number, b) => a + b, 0) / bandit.features.length;
    const direction = (y: number): number => (bandit.features[y] as number) - middle;
    let theta = 0;
    const delta = [0, 0, 0];
    const at = (y: number): number => delta[y] as number;
    for (let step = 0; step < 600; step++) {
      const n = pairs.length;
      const moved = pairs.reduce((sum, [c, d]) => sum + at(c) * direction(c) + at(d) * direction(d), 0) / n;
      let slope = 0;
      const slopes = [0, 0, 0];
      for (const [c, d] of pairs) {
        const gap = 0.1 * ((bandit.features[c] as number) - (bandit.features[d] as number));
        const pull = -1 / (1 + Math.exp(gap * theta + at(c) - at(d))) / n;
        slope += pull * gap;
        for (const [y, sign] of [
          [c, 1],
          [d, -1],
        ] as const)
          slopes[y] = (slopes[y] as number) + sign * pull + (2 * moved * direction(y) + 2 * 0.01 * at(y)) / n;
      }
      theta -= 5 * slope;
      for (const [y, s] of slopes.entries()) delta[y] = at(y) - 0.3 * s;
    }
    const recipe = completeRecipe(banditTestbed, 'aux-dpo', { optimizer: { learning_rate: 0.1 } });
    const { metrics } = await banditTestbed.run(recipe, { seed: 1, threads: 1 });
    expect(theta).toBeGreaterThan(0.5);
    expect(metrics.theta).toBeGreaterThan(0.5);
  });
});
