import { describe, expect, it } from 'vitest';
import { splitConfidence } from '../../../src/data/tasks/index.js';
import { NDArray, randomKey, treeEntries, treeUnflatten } from '../../../src/tensor/index.js';
import { RolloutBatch } from '../../../src/train/rl/batch.js';
import type { PolicyService } from '../../../src/train/rl/contract.js';
import { groupNorm } from '../../../src/train/rl/parts/advantage.js';
import { answerReader, best, tally } from '../../../src/train/rl/parts/answers.js';
import { certaintyMeasure } from '../../../src/train/rl/parts/selfCertainty.js';
import { harmonicScores } from '../../../src/train/rl/parts/views.js';
import { Policy } from '../../../src/train/rl/policy.js';
import { promptDataset } from '../../../src/train/rl/prompts.js';
import { Stopwatch } from '../../../src/train/rl/stopwatch.js';
import { hostOf, numbers, recipeOf, tinyPolicy, tokenizer } from './support.js';
import { exact, rejecting, type SaidSpec, said, saidBatch } from './worlds.js';

const group = (texts: readonly string[], more: Partial<SaidSpec> = {}): RolloutBatch => saidBatch(texts.map((text) => ({ text, ...more })));

describe('answers and votes', () => {
  it('read the marked answer, or the last match of a pattern', () => {
    expect(answerReader({})('1+2=3#3')).toBe('3');
    expect(answerReader({ answer_pattern: '\\\\boxed\\{([^}]*)\\}' })('\\boxed{1} so \\boxed{ 12 }')).toBe('12');
    expect(answerReader({ answer_pattern: '\\d' })('a1b2c')).toBe('2');
    expect(answerReader({ answer_pattern: '\\d' })('none')).toBeNull();
    expect(() => answerReader({ answer_pattern: '(' })).toThrow(/regular expression/);
  });

  it('the first of equals wins, and who says nothing does not vote', () => {
    expect(best(tally(['4', null, '', '5', '5', '4']))).toBe('4');
    expect(best(tally([null, '']))).toBeNull();
  });
});

describe('Intuitor', () => {
  const policyOf = (params: ReturnType<typeof tinyPolicy>['params']): Policy =>
    new Policy({
      model: tinyPolicy().model,
      tokenizer,
      view: recipeOf('intuitor').slots.policyView,
      eos: new Set([2]),
      watch: new Stopwatch(),
      threads: 1,
      settings: () => recipeOf('intuitor').settings,
      params: () => params,
      reference: () => undefined,
      key: () => randomKey(4),
      generated: () => undefined,
      scored: () => undefined,
    });

  it('self-certainty is the mean over actions of KL(U || pi), from the log-probabilities of every token of the vocabulary', async () => {
    const { params } = tinyPolicy(3);
    const policy = policyOf(params);
    const batch = saidBatch([{ text: '12+7=19#19' }, { text: 'a' }]);
    const { reward } = recipeOf('intuitor').slots;
    const scored = await reward.score(batch.samples, hostOf(recipeOf('intuitor'), [], {}, policy).context('reward', reward));
    for (const [i, { segments }] of batch.samples.entries()) {
      const { context, tokens } = segments[0] as (typeof segments)[number];
      let total = 0;
      for (const at of tokens.keys()) {
        const before = Int32Array.from([...context, ...tokens.subarray(0, at)]);
        const each = Array.from({ length: tokenizer.vocab_size }, (_, v) => ({ context: before, tokens: Int32Array.of(v) }));
        const uniform = 1 / tokenizer.vocab_size;
        for (const [logp] of await policy.logps(each)) total += uniform * (Math.log(uniform) - (logp as number));
      }
      expect(scored[i]?.reward).toBeCloseTo(total / tokens.length, 4);
      expect(scored[i]?.reward).toBeGreaterThan(0.1);
    }
    policy.dispose();
  });

  it('is 0 for a policy that knows nothing', async () => {
    const { params } = tinyPolicy(3);
    const nothing = treeUnflatten(
      params,
      treeEntries<NDArray>(params as never).map(([, p]) => new NDArray('f32', p.shape, new Float32Array(p.toNumbers().length))),
    ) as typeof params;
    const policy = policyOf(nothing);
    const [values] = await policy.measure([{ context: Int32Array.of(5, 6), tokens: Int32Array.of(7, 8) }], certaintyMeasure);
    for (const x of values as Float64Array) expect(Math.abs(x)).toBeLessThan(1e-5);
    policy.dispose();
  });
});

describe('RESTRAIN', () => {
  const recipe = recipeOf('restrain', { label_sigma: 0.3, min_majority: 0.3, penalty_offset: 0.7 });
  const { advantage } = recipe.slots;
  const texts = ['#7', '#7', '#3', '#5', '#7', '?', '#3', '#7'];

  it('is the weighted sum of GRPO over every answer as a label', () => {
    const batch = group(texts);
    const got = advantage.compute(batch, hostOf(recipe).context('advantage', advantage));
    const labels = ['#7', '#3', '#5'];
    const g = labels.map((l) => Math.exp(-((texts.filter((t) => t === l).length / 8 - 1) ** 2) / (2 * 0.3 ** 2)));
    const expected = texts.map(() => 0);
    for (const [j, label] of labels.entries()) {
      const own = new RolloutBatch(batch.samples.map((s) => ({ ...s, reward: s.trajectory.text === label ? 1 : 0 })));
      const credit = groupNorm.compute(own, hostOf(recipeOf('grpo')).context('advantage', groupNorm));
      const w = (g[j] as number) / g.reduce((a, b) => a + b, 0);
      for (const i of texts.keys()) expected[i] = (expected[i] as number) + w * (credit[i] as number);
    }
    for (const [i, x] of expected.entries()) expect(got[i]).toBeCloseTo(x, 10);
    expect(Math.abs(got[0] as number)).toBeGreaterThan(0.1);
  });

  it('penalises every completion of a group that scatters, and of one without answers', () => {
    for (const scattered of [
      ['#1', '#2', '#3', '#4'],
      ['a', 'b', 'c', 'd'],
    ]) {
      const got = advantage.compute(group(scattered), hostOf(recipe).context('advantage', advantage));
      expect([...got]).toEqual([-0.7, -0.7, -0.7, -0.7]);
    }
  });

  it('weighs a problem by the agreement of the frozen reference, which draws once', async () => {
    const asked: unknown[] = [];
    const policy: PolicyService = {
      ...rejecting,
      generate: async (requests, options) => {
        asked.push([requests.map((r) => [r.id, r.n]), options?.which]);
        return requests.map(() => ['#7', '#7', '#7', '#1'].map((text) => ({ text }) as never));
      },
    };
    const host = hostOf(recipe, [], { num_generations: 4 }, policy);
    const { reward } = recipe.slots;
    const batch = group(texts, { id: 3 });
    const plain = advantage.compute(batch, host.context('advantage', advantage));
    for (const _ of [1, 2]) await reward.score(batch.samples, host.context('reward', reward));
    expect(asked).toEqual([[[[3, 4]], 'reference']]);
    const weighted = advantage.compute(batch, host.context('advantage', advantage));
    const u = Math.exp(-((0.75 - 1) ** 2) / (2 * 0.3 ** 2));
    for (const [i, a] of plain.entries()) expect(weighted[i]).toBeCloseTo(u * a, 12);
  });
});

describe('Self-Harmony', () => {
  it('scores answers by the harmonic mean: self-consistency minus the difference of the views', () => {
    const views = [
      {
        votes: new Map([
          ['7', 5],
          ['3', 1],
          ['9', 2],
        ]),
        size: 8,
      },
      {
        votes: new Map([
          ['3', 3],
          ['7', 1],
        ]),
        size: 4,
      },
    ];
    const scores = harmonicScores(views);
    expect([...scores.keys()]).toEqual(['7', '3']);
    for (const [answer, score] of scores) {
      const [p0, p1] = views.map(({ votes, size }) => (votes.get(answer) ?? 0) / size) as [number, number];
      expect(score).toBeCloseTo(0.5 * (p0 + p1 - (p0 - p1) ** 2 / (p0 + p1)), 12);
    }
    expect([
      ...harmonicScores([
        { votes: new Map(), size: 0 },
        { votes: new Map([['7', 1]]), size: 2 },
      ]),
    ]).toEqual([['7', 0.5]]);
  });

  it('prefers what both views find to what one is sure of, and rewards both views', async () => {
    const next = numbers(3);
    const [original, paraphrase] = [
      ['#7', '#7', '#7', '#3'],
      ['#3', '#3', '#1', '?'],
    ].map((texts, v) => texts.map((text) => said({ text, group: `${v}`, columns: { view: v === 0 ? 'original' : 'paraphrase' } }, next)));
    const { reward } = recipeOf('self-harmony').slots;
    const scored = await reward.score(
      [...(original ?? []), ...(paraphrase ?? [])],
      hostOf(recipeOf('self-harmony')).context('reward', reward),
    );
    expect(scored.map((s) => s.reward)).toEqual([0, 0, 0, 1, 1, 1, 0, 0]);
  });

  it('asks half as many problems, each with its paraphrase', async () => {
    const recipe = recipeOf('self-harmony');
    const { prompts } = recipe.slots;
    const host = hostOf(recipe);
    const data = promptDataset(
      [1, 2, 3].map((i) => ({ prompt: `${i}+1=`, paraphrase: `1 more than ${i}:` })),
      tokenizer,
    );
    const got = await prompts.next(6, data, host.context('prompts', prompts));
    expect(new Set(got.map((p) => p.id)).size).toBe(3);
    for (const i of [0, 2, 4]) {
      const [a, b] = got.slice(i, i + 2) as [(typeof got)[number], (typeof got)[number]];
      expect([a.id, a.columns.view, b.columns.view]).toEqual([b.id, 'original', 'paraphrase']);
      expect(b.text).toBe(a.columns.paraphrase);
      expect(tokenizer.decode(b.tokens)).toBe(b.text);
    }
    await expect(prompts.next(5, data, host.context('prompts', prompts))).rejects.toThrow(/even/);
    const bare = promptDataset([{ prompt: 'a' }], tokenizer);
    await expect(prompts.next(2, bare, host.context('prompts', prompts))).rejects.toThrow(/paraphrase/);
  });
});

describe('RLCR', () => {
  it('reads a digit as the middle of a tenth and a fraction as itself', () => {
    expect(splitConfidence('1+2=3#3~7')).toEqual({ text: '1+2=3#3', confidence: 0.75 });
    expect(splitConfidence('#3~0.8')).toEqual({ text: '#3', confidence: 0.8 });
    for (const odd of ['#3', '#3~', '#3~x', '#3~77', '#3~1.5', '#3~-1'])
      expect(splitConfidence(odd)).toEqual({ text: odd, confidence: null });
  });

  it('pays most, on average, for the confidence that is true', async () => {
    const { reward } = recipeOf('rlcr').slots;
    const context = hostOf(recipeOf('rlcr'), [exact]).context('reward', reward);
    for (const truth of [0.04, 0.33, 0.5001, 0.68, 0.97]) {
      const expected = await Promise.all(
        Array.from({ length: 10 }, async (_, digit) => {
          const [right, wrong] = await reward.score(
            ['7', '8'].map((answer) => said({ text: `#7~${digit}`, columns: { answer } })),
            context,
          );
          return truth * (right?.reward ?? 0) + (1 - truth) * (wrong?.reward ?? 0);
        }),
      );
      expect(expected.indexOf(Math.max(...expected))).toBe(Math.floor(10 * truth));
    }
  });

  it('is r - (q - r)^2, below every readable answer where no confidence can be read, and keeps the trajectory', async () => {
    const { reward } = recipeOf('rlcr').slots;
    const samples = ['#7~9', '#3~9', '#7', '#3'].map((text) => said({ text, columns: { answer: '7' } }));
    const scored = await reward.score(samples, hostOf(recipeOf('rlcr'), [exact]).context('reward', reward));
    const expected = [1 - 0.05 ** 2, -(0.95 ** 2), -1, -2];
    for (const [i, x] of expected.entries()) expect(scored[i]?.reward).toBeCloseTo(x, 12);
    expect(scored.map((s) => s.trajectory)).toEqual(samples.map((s) => s.trajectory));
    const large = { name: 'large', score: () => [2, 2, 2, 2] };
    await expect(Promise.resolve(reward.score(samples, hostOf(recipeOf('rlcr'), [large]).context('reward', reward)))).rejects.toThrow(
      /0 to 1/,
    );
  });
});
