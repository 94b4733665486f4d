import { describe, expect, it } from 'vitest';
import { RolloutBatch } from '../../../src/train/rl/batch.js';
import type { PolicyService, RolloutContext } from '../../../src/train/rl/contract.js';
import { groupNorm } from '../../../src/train/rl/parts/advantage.js';
import { kendallTau, progress } from '../../../src/train/rl/parts/processReward.js';
import { reasoningLength } from '../../../src/train/rl/parts/referenceLikelihood.js';
import { gestaltRatio } from '../../../src/train/rl/parts/similarity.js';
import { promptDataset } from '../../../src/train/rl/prompts.js';
import { hostOf, numbers, recipeOf, tokenizer } from './support.js';
import { exact, rejecting, said, saidBatch } from './worlds.js';

describe('HERO', () => {
  const recipe = recipeOf('hero', { scale_rewards: 'none' });
  const { reward, advantage } = recipe.slots;
  const next = numbers(9);
  const scores = new Map<string, number>();
  const model = { name: 'model', score: (_: unknown, completions: readonly string[]) => completions.map((c) => scores.get(c) ?? 0) };
  const texts = Array.from({ length: 12 }, (_, i) => `${i};#${i % 3 === 0 ? 7 : 3}`);
  for (const t of texts) scores.set(t, 4 * next() - 2);
  const samples = saidBatch(texts.map((text, i) => ({ text, group: i < 8 ? 'a' : 'b', columns: { answer: '7' } }))).samples;

  it('keeps every right completion above every wrong one, in the order of the dense scores', async () => {
    const host = hostOf(recipe, [exact, model]);
    const scored = await reward.score(samples, host.context('reward', reward));
    for (const [i, s] of scored.entries()) {
      const peers = samples.flatMap((p, k) =>
        p.group === s.group && (scored[k]?.rewards.exact ?? -1) === s.rewards.exact ? [scores.get(p.trajectory.text) as number] : [],
      );
      const own = scores.get(texts[i] as string) as number;
      const within = (own - Math.min(...peers)) / (Math.max(...peers) - Math.min(...peers) + 1e-6);
      expect(s.reward).toBeCloseTo(s.rewards.exact === 1 ? 0.95 + 0.1 * within : -0.05 + 0.1 * within, 12);
    }
    const of = (right: number): number[] => scored.filter((s) => s.rewards.exact === right).map((s) => s.reward);
    expect(Math.min(...of(1))).toBeGreaterThan(Math.max(...of(0)));
  });

  it('weights as if the rewards were multiplied, with a mean of deviations over all groups so far', async () => {
    const host = hostOf(recipe, [exact, model]);
    const batch = new RolloutBatch(await reward.score(samples, host.context('reward', reward)));
    const [s1, s2] = ['a', 'b'].map((g) => {
      const own = samples.filter((s) => s.group === g).map((s) => scores.get(s.trajectory.text) as number);
      const mean = own.reduce((a, b) => a + b, 0) / own.length;
      return Math.sqrt(own.reduce((a, b) => a + (b - mean) ** 2, 0) / (own.length - 1));
    }) as [number, number];
    const context = host.context('advantage', advantage);
    for (const seen of [
      [s1, s2],
      [s1, s2, s1, s2],
    ]) {
      const mean = seen.reduce((a, b) => a + b, 0) / seen.length;
      const weight = (s: number): number => 0.4 + 2.6 / (1 + Math.exp(-6 * (s - mean)));
      const weighted = new RolloutBatch(batch.samples.map((s) => ({ ...s, reward: s.reward * weight(s.group === 'a' ? s1 : s2) })));
      const expected = groupNorm.compute(weighted, hostOf(recipeOf('grpo', { scale_rewards: 'none' })).context('advantage', groupNorm));
      const got = advantage.compute(batch, context);
      for (const [i, x] of expected.entries()) expect(got[i]).toBeCloseTo(x, 12);
    }
    expect(JSON.parse(JSON.stringify(context.state))).toEqual(context.state);
    expect((context.state as { count: number }).count).toBe(4);
    expect(() => advantage.compute(batch, hostOf(recipe, [exact]).context('advantage', advantage))).toThrow(/two reward functions/);
  });
});

describe('VeriFree', () => {
  const recipe = recipeOf('verifree');
  const length = (text: string): number | null => reasoningLength(tokenizer.encode(text), '#', tokenizer);

  it('finds the end of the reasoning', () => {
    expect([length('1+6=7#7'), length('#7'), length('a#b#c'), length('none')]).toEqual([6, 1, 4, null]);
  });

  it('asks for the reference answer and the end behind the sampled reasoning', async () => {
    const asked: string[] = [];
    const policy: PolicyService = {
      ...rejecting,
      logps: async (sequences) =>
        sequences.map(({ context, tokens }) => {
          asked.push(`${tokenizer.decode(context.subarray(-2))}|${tokenizer.decode(tokens)}`);
          return Float64Array.from(tokens, (_, t) => -0.1 * (t + 1));
        }),
    };
    const host = hostOf(recipe, [], {}, policy);
    const { reward, auxiliary } = recipe.slots;
    const samples = ['1+6=7#19', 'none', '6#7'].map((text) => said({ text, columns: { answer: '19' } }));
    const batch = new RolloutBatch(await reward.score(samples, host.context('reward', reward)));
    expect(asked).toEqual(['7#|19<eos>', '6#|19<eos>']);
    expect(batch.rewards[0]).toBeCloseTo(Math.exp(-0.1 - 0.2 - 0.3), 12);
    expect(batch.rewards[1]).toBe(0);
    const own = auxiliary[0] as (typeof auxiliary)[number];
    const sequences = await own.sequences(batch, host.context('auxiliary', own));
    expect(sequences).toHaveLength(2);
    for (const { tokens, weights } of sequences) {
      expect(tokenizer.decode(tokens)).toBe('19<eos>');
      for (const w of Array.from(weights)) expect(w).toBeCloseTo(Math.exp(-0.6) / 3, 12);
    }
    const lost = said({ text: '#7' });
    await expect(Promise.resolve(reward.score([lost], host.context('reward', reward)))).rejects.toThrow(/column answer/);
  });

  it('does not train the answer that was drawn', async () => {
    const { rollout } = recipe.slots;
    const text = '1+6=7#19';
    const policy: PolicyService = {
      ...rejecting,
      generate: async (requests) => {
        const tokens = Int32Array.from([...tokenizer.encode(text), 2]);
        const zeros = new Float32Array(tokens.length);
        return requests.map(() => [
          { tokens, text, finish_reason: 'stop', logps: zeros, sampling_logps: zeros, entropies: zeros } as never,
        ]);
      },
    };
    const context: RolloutContext = {
      ...hostOf(recipe, [], {}, policy).context('rollout', rollout),
      num_generations: 1,
      score: () => Promise.reject(new Error('not asked')),
      scaffold: () => Promise.reject(new Error('not asked')),
    };
    const [trajectory] = await rollout.sample([{ prompt: said({ text }).trajectory.prompt, context: Int32Array.of(5) }], context);
    expect([...(trajectory?.segments[0]?.actions ?? [])]).toEqual([1, 1, 1, 1, 1, 1, 0, 0, 0]);
  });
});

describe('RePro', () => {
  it('scores lie in [0, 1], gains add up to the whole, and steady progress earns most', () => {
    const next = numbers(17);
    for (let run = 0; run < 50; run++) {
      const values = Array.from({ length: 1 + Math.floor(6 * next()) }, () => -4 * next());
      const gains = progress(-2, values, 0.3);
      let score = 0.7 * (1 - Math.tanh(1)) + 0.15;
      for (const [t, r] of gains.entries()) {
        score += r;
        const [seen, last] = [values.slice(0, t + 1), values[t] as number];
        let pairs = 0;
        for (const [i, a] of seen.entries()) for (const [j, b] of seen.entries()) if (i !== j) pairs += Math.sign(a - b) * Math.sign(i - j);
        const tau = seen.length > 1 ? pairs / (seen.length * (seen.length - 1)) : 0;
        expect(kendallTau(seen)).toBeCloseTo(tau, 12);
        expect(score).toBeCloseTo(0.7 * (1 + Math.tanh(last / 2)) + 0.3 * ((tau + 1) / 2), 12);
        expect(score).toBeGreaterThanOrEqual(0);
        expect(score).toBeLessThanOrEqual(1);
      }
    }
    expect([kendallTau([1, 2, 3]), kendallTau([3, 2, 1]), kendallTau([5])]).toEqual([1, -1, 0]);
    const total = (values: number[]): number => progress(-2, values, 0.3).reduce((a, b) => a + b, 0);
    expect(total([-1.5, -1, -0.5])).toBeGreaterThan(total([-0.5, -1.5, -0.5]));
  });

  const recipe = recipeOf('repro', { process_coef: 0.5 });
  /** The more steps stand before the marker, the surer it is. */
  const policy: PolicyService = {
    ...rejecting,
    logps: async (sequences) =>
      sequences.map(({ context, tokens }) => {
        const steps = tokenizer.decode(context).split('=').length - 1;
        return Float64Array.from(tokens, () => -2 / (1 + steps));
      }),
  };

  it('puts normalised gains at the ends of steps, and gives every token those to come', async () => {
    const host = hostOf(recipe, [exact], {}, policy);
    const { reward, advantage } = recipe.slots;
    const texts = ['1+1=2;2+5=7#7', '1+1=2#2', '#7', '1+1=2;?'];
    const samples = texts.map((text) => said({ text, columns: { answer: '7' } }));
    const scored = await reward.score(samples, host.context('reward', reward));
    const size = (steps: number): number => 0.8 * (1 - Math.tanh(1 / (1 + steps)));
    // the first step of each, then the second of the first, which rises, and of the last, which stands still
    const gains = [size(1) - size(0), size(2) - size(1) + 0.1, 0];
    const all = [gains[0], gains[1], gains[0], gains[0], gains[2]] as number[];
    const mean = all.reduce((a, b) => a + b, 0) / 5;
    const spread = Math.sqrt(all.reduce((a, b) => a + (b - mean) ** 2, 0) / 4) + 1e-4;
    const at = (x: number): number => (0.5 * (x - mean)) / spread;
    const expected = [
      [
        [5, at(gains[0] as number)],
        [10, at(gains[1] as number)],
      ],
      [[4, at(gains[0] as number)]],
      [],
      [
        [5, at(gains[0] as number)],
        [6, at(gains[2] as number)],
      ],
    ];
    for (const [i, list] of expected.entries()) {
      const rewards = Array.from(scored[i]?.token_rewards ?? []);
      expect(rewards).toHaveLength((texts[i] as string).length);
      for (const [k, x] of rewards.entries()) expect(x).toBeCloseTo(list.find(([place]) => place === k)?.[1] ?? 0, 10);
    }
    const batch = new RolloutBatch(scored);
    const got = advantage.compute(batch, host.context('advantage', advantage));
    const outcome = groupNorm.compute(
      new RolloutBatch(samples.map((s, i) => ({ ...s, reward: scored[i]?.reward ?? 0 }))),
      host.context('advantage', groupNorm),
    );
    for (let n = 0; n < batch.size; n++) {
      const { start, end } = batch.span(n);
      for (let k = start; k < end; k++) {
        let sum = outcome[n] as number;
        for (let j = k; j < end; j++) sum += batch.token_rewards[j] as number;
        expect(got[k]).toBeCloseTo(sum, 10);
      }
    }
  });

  it('scores the steps of highest entropy only, and asks nothing at coefficient 0', async () => {
    const { reward } = recipe.slots;
    const sample = said({ text: '1+1=2;2+5=7;#7', columns: { answer: '7' } });
    const entropies = new Float32Array(14);
    entropies[6] = 2;
    const segments = sample.segments.map((s) => ({ ...s, entropies }));
    const one = { ...sample, segments, trajectory: { ...sample.trajectory, segments } };
    const other = said({ text: '1+1=2#7', columns: { answer: '7' } });
    const host = hostOf(recipe, [exact], { process_segments: 1 }, policy);
    const [scored] = await reward.score([one, other], host.context('reward', reward));
    expect([...(scored?.token_rewards?.entries() ?? [])].filter(([, x]) => x !== 0).map(([k]) => k)).toEqual([11]);
    const off = hostOf(recipe, [exact], { process_coef: 0 }, rejecting);
    expect((await reward.score([one], off.context('reward', reward)))[0]?.token_rewards).toBeUndefined();
  });
});

describe('SRL', () => {
  // figures of Python 3's difflib.SequenceMatcher(None, a, b, autojunk=False).ratio()
  it.each([
    ['3+4=7', '3+4=8', 0.8],
    ['12-5=7', '5-12=7', 0.6666666666666666],
    ['', 'a', 0],
    ['', '', 1],
    ['abxcd', 'abcd', 0.8888888888888888],
    ['qabxcd', 'abycdf', 0.6666666666666666],
    ['private', 'tidy', 0.18181818181818182],
    ['tidy', 'private', 0.18181818181818182],
    ['1212121', '2121212', 0.8571428571428571],
    ['20=331', '003+', 0.4],
    ['01++221', '210=', 0.36363636363636365],
    ['21122==', '0+2=3+11', 0.4],
    ['320+20', '+=2+133', 0.15384615384615385],
    ['23311220003=', '++=3=21', 0.21052631578947367],
    ['1031==32123=+', '=+1200=1', 0.38095238095238093],
  ])('similarity of %s and %s', (a, b, ratio) => {
    expect(gestaltRatio(a, b)).toBeCloseTo(ratio, 12);
  });

  const recipe = recipeOf('srl');
  const { prompts, reward } = recipe.slots;
  const steps = ['1+2=3', '3*4=12', '12-5=7'];
  const data = promptDataset([{ prompt: '1,+2,*4,-5=', steps, answer: '7' }], tokenizer);

  it('problems are prefixes of the solution with its next step, every one of them in turn', async () => {
    const host = hostOf(recipe);
    const got = await prompts.next(60, data, host.context('prompts', prompts));
    const solution = [...steps.slice(0, 2), '12-5=7#7'];
    const seen = new Set<number>();
    for (const { text, tokens, columns } of got) {
      const done = text.slice('1,+2,*4,-5='.length).split(';').length - 1;
      seen.add(done);
      expect(`${text}${columns.expert_action}`).toBe(`1,+2,*4,-5=${solution.slice(0, done + 1).join(';')}`);
      expect(tokenizer.decode(tokens)).toBe(text);
    }
    expect([...seen].sort()).toEqual([0, 1, 2]);
    const again = await prompts.next(60, data, host.context('prompts', prompts));
    expect(again.map((p) => p.text)).not.toEqual(got.map((p) => p.text));
    const bare = promptDataset([{ prompt: 'a' }], tokenizer);
    await expect(prompts.next(1, bare, host.context('prompts', prompts))).rejects.toThrow(/steps/);
  });

  it('rewards similarity, and -1 for what was not finished or is empty', async () => {
    const columns = { expert_action: '3+4=7' };
    const samples = ['3+4=7', '3+4=8', ' '].map((text) => said({ text, columns }));
    const cut = said({ text: '3+4', columns });
    const long = { ...cut, trajectory: { ...cut.trajectory, finish_reason: 'length' as const } };
    const scored = await reward.score([...samples, long], hostOf(recipe).context('reward', reward));
    expect(scored.map((s) => s.reward)).toEqual([1, 0.8, -1, -1]);
  });
});
