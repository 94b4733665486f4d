import { describe, expect, it } from 'vitest';
import type { Settings } from '../../../src/contracts/index.js';
import { schedules } from '../../../src/optim/schedule/index.js';
import { optimizers } from '../../../src/optim/transform/index.js';
import { type NDArray, randomKey, type Tree, treeEntries } from '../../../src/tensor/index.js';
import { RolloutBatch } from '../../../src/train/rl/batch.js';
import type { PolicyService, RolloutContext } from '../../../src/train/rl/contract.js';
import { chunkSizes } from '../../../src/train/rl/parts/chunks.js';
import { redundancyOf, stepDefaults, tokensWithin } from '../../../src/train/rl/parts/redundancy.js';
import { Policy } from '../../../src/train/rl/policy.js';
import { rolloutSamples } from '../../../src/train/rl/rolloutSamples.js';
import { Stopwatch } from '../../../src/train/rl/stopwatch.js';
import type { Segment, Trajectory } from '../../../src/train/rl/trajectory.js';
import { trainRl } from '../../../src/train/rl.js';
import { batchOf, hostOf, recipeOf, type SampleSpec, tinyPolicy, tokenizer } from './support.js';

const texts = ['12+7=', 'a', '30,+5='];

function policyOf(settings: Settings): Policy {
  const { model, params } = tinyPolicy(3);
  return new Policy({
    model,
    tokenizer,
    view: recipeOf('grpo').slots.policyView,
    eos: new Set([2]),
    watch: new Stopwatch(),
    threads: 1,
    settings: () => settings,
    params: () => params,
    reference: () => undefined,
    key: (purpose) => randomKey(purpose.length),
    generated: () => undefined,
    scored: () => undefined,
  });
}

/** What a recipe's rollout makes of three problems, with a policy whose log-probabilities can be asked for again. */
async function rollout(spec: string, more: Settings): Promise<{ trajectories: readonly Trajectory[]; policy: Policy }> {
  const recipe = recipeOf(spec, more);
  const policy = policyOf(recipe.settings);
  const host = hostOf(recipe, [], {}, policy as PolicyService);
  const prompts = texts.map((text, id) => {
    const tokens = tokenizer.encode(text);
    return { prompt: { id, text, tokens, place: id, columns: {} }, context: tokens };
  });
  const context: RolloutContext = {
    ...host.context('rollout', recipe.slots.rollout),
    num_generations: Number(recipe.settings.num_generations),
    score: async (own) => new Float64Array(own.length),
    scaffold: async () => prompts,
  };
  return { trajectories: await recipe.slots.rollout.sample(prompts, context), policy };
}

/** Every token that the policy chose has the log-probability that a forward pass over its segment gives. */
async function checkLogps(trajectories: readonly Trajectory[], policy: Policy): Promise<void> {
  const segments = trajectories.flatMap((t) => t.segments);
  const again = await policy.logps(segments);
  for (const [i, { logps, actions, tokens }] of segments.entries()) {
    expect([logps.length, actions.length]).toEqual([tokens.length, tokens.length]);
    for (const [j, x] of logps.entries())
      if (actions[j] === 1) expect(Math.abs(x - (again[i]?.[j] as number))).toBeLessThan(1e-5);
      else expect(x).toBe(0);
  }
}

const written = (t: Trajectory): number[] => t.segments.flatMap((s) => [...s.tokens]);
const said = (tokens: number[]): string => tokenizer.decode(tokens, { skip_special_tokens: true });

describe('elastic-reasoning', () => {
  it('cuts thoughts at their budget, writes the border for the policy, and goes on', async () => {
    const plain = await rollout('grpo', { max_completion_length: 12, num_generations: 8 });
    plain.policy.dispose();
    const counts = new Map<number, number>();
    for (const token of plain.trajectories.flatMap(written)) if (token > 3) counts.set(token, (counts.get(token) ?? 0) + 1);
    const [common] = [...counts].sort((a, b) => b[1] - a[1])[0] as [number, number];
    const border = tokenizer.decode([common]);
    const settings = { max_completion_length: 12, num_generations: 8, thinking_share: 0.5, solution_share: 0.25, answer_marker: border };
    const { trajectories, policy } = await rollout('grpo+elastic-reasoning', settings);
    const kinds = new Set<string>();
    expect(trajectories).toHaveLength(24);
    for (const t of trajectories) {
      const tokens = written(t);
      const [segment] = t.segments as [Segment];
      expect(t.text).toBe(said(tokens));
      const at = tokens.indexOf(common);
      const forced = [...segment.actions].indexOf(0);
      if (at < 0) {
        kinds.add('ended');
        expect(tokens.at(-1)).toBe(2);
        expect(tokens.length).toBeLessThanOrEqual(6);
      } else {
        kinds.add(forced < 0 ? 'came' : 'cut');
        expect(at).toBeLessThanOrEqual(6);
        if (at === 6) expect(forced).toBe(6);
        else expect(forced).toBe(-1);
        expect(tokens.length - at - 1).toBeLessThanOrEqual(forced < 0 ? 3 : 2);
        expect(t.finish_reason === 'stop').toBe(tokens.at(-1) === 2);
      }
      expect(t.notes.cut).toBe(forced >= 0);
    }
    expect(kinds.has('cut') && kinds.has('came')).toBe(true);
    await checkLogps(trajectories, policy);
    policy.dispose();
  });
});

describe('delethink', () => {
  it('has the largest chunk whose turns stay within the permitted length', () => {
    expect(chunkSizes(24576, 5, 0.5, 100 / 8192)).toEqual({ chunk: 8192, carry: 4096, head: 100 });
    for (const most of [5, 17, 60, 256])
      for (const turns of [1, 2, 5])
        for (const share of [0, 0.3, 0.5]) {
          const { chunk, carry } = chunkSizes(most, turns, share, 0);
          expect(chunk + (turns - 1) * (chunk - carry)).toBeLessThanOrEqual(most + turns - 1);
          expect(chunk + 1 + (turns - 1) * (chunk + 1 - share * (chunk + 1))).toBeGreaterThan(most);
          expect(carry).toBeLessThan(chunk);
        }
  });

  it('writes each chunk behind the problem, the first and the last tokens, and scores it there', async () => {
    const settings = { max_completion_length: 24, num_generations: 4, max_chunks: 4, carry_share: 0.5, head_share: 0.25 };
    const { chunk, carry, head } = chunkSizes(24, 4, 0.5, 0.25);
    expect([chunk, carry, head]).toEqual([9, 4, 2]);
    const { trajectories, policy } = await rollout('grpo+delethink', settings);
    expect(trajectories).toHaveLength(12);
    for (const t of trajectories) {
      const before: number[] = [];
      for (const [k, s] of t.segments.entries()) {
        const carried = k === 0 ? [] : [...before.slice(0, head), ...before.slice(before.length - (carry - head))];
        expect([...s.context]).toEqual([...t.prompt.tokens, ...carried]);
        expect(carried.length + s.tokens.length).toBeLessThanOrEqual(chunk);
        expect(s.parent).toBe(k - 1);
        before.push(...s.tokens);
      }
      expect(before.length).toBeLessThanOrEqual(24);
      expect(t.text).toBe(said(before));
      expect(before.slice(0, -1)).not.toContain(2);
      if (t.finish_reason === 'length') expect(t.segments).toHaveLength(4);
    }
    expect(trajectories.some((t) => t.segments.length === 4)).toBe(true);
    await checkLogps(trajectories, policy);
    policy.dispose();
  });
});

describe('hgpo', () => {
  it('begins half of a group with each mode, an action at the probability that the policy gives it', async () => {
    const { trajectories, policy } = await rollout('grpo+hgpo', { max_completion_length: 5, num_generations: 5 });
    expect(trajectories.map((t) => t.text[0]).join('')).toBe('!!!..'.repeat(3));
    for (const t of trajectories) {
      const [s] = t.segments as [Segment];
      expect([...s.context]).toEqual([...t.prompt.tokens]);
      expect(t.text).toBe(said([...s.tokens]));
      expect([...s.actions].every((a) => a === 1)).toBe(true);
      expect(t.notes.mode).toBe(t.text[0]);
    }
    await checkLogps(trajectories, policy);
    policy.dispose();
  });

  it.each([0, 0.5])('credits within and between modes as a plain loop does, margin %s', (margin) => {
    const modes = ['!', '!', '!', '.', '.', '!', '!', '.', '.'];
    const rewards = [1, 0, 1, 1, 0, 1, 0, 0, 0];
    const groups = [...'aaaaa', ...'bbbb'];
    const given = batchOf(
      rewards.map((reward, i): SampleSpec => ({ group: groups[i] as string, reward, length: 3, text: `${modes[i]}5#` })),
    );
    const samples = given.samples.map((s, n) => ({ ...s, trajectory: { ...s.trajectory, notes: { mode: modes[n] as string } } }));
    const recipe = recipeOf('grpo+hgpo', { hgpo_alpha: 0.7, hgpo_margin: margin });
    const part = recipe.slots.advantage;
    const got = part.compute(new RolloutBatch(samples), hostOf(recipe).context('advantage', part));
    const norm = (x: number, all: number[]): number => {
      const mean = all.reduce((a, b) => a + b, 0) / all.length;
      const s = Math.sqrt(all.reduce((a, b) => a + (b - mean) ** 2, 0) / (all.length - 1));
      return s === 0 ? 0 : (x - mean) / (s + 1e-4);
    };
    // a: thinking 2/3, direct 1/2; b: thinking 1/2, direct 0
    const better = margin === 0 ? { a: '!', b: '!' } : { a: '.', b: '.' };
    for (const [i, r] of rewards.entries()) {
      const g = groups[i] as 'a' | 'b';
      const peers = rewards.filter((_, j) => groups[j] === g && modes[j] === modes[i]);
      const best = Math.max(...peers);
      const within = norm(
        r === best ? 1 : 0,
        peers.map((x) => (x === best ? 1 : 0)),
      );
      const choices = modes.filter((_, j) => groups[j] === g).map((m) => (m === better[g] ? 1 : 0));
      const between = norm(modes[i] === better[g] ? 1 : 0, choices);
      expect(got[3 * i]).toBeCloseTo(within + 0.7 * between, 9);
      for (const j of [1, 2]) expect(got[3 * i + j]).toBeCloseTo(within, 9);
    }
  });
});

describe('decs', () => {
  it('finds the necessary steps and the tokens behind them', () => {
    const cases: [string, string | null, number][] = [
      ['1+2=3;3*4=12#12', '', 1],
      ['1+2=3;3*4=12;12/4=3;3-2=1#12', ';12/4=3;3-2=1', 0.5],
      ['12;12#12', ';12', 0.5],
      ['1+2=3#4', null, 0],
      ['1+2=3', null, 0],
      ['1+2=3#', null, 0],
    ];
    for (const [text, redundant, necessary] of cases) {
      const found = redundancyOf(text, stepDefaults);
      if (redundant === null) expect(found).toBeNull();
      else if (found) {
        expect(text.slice(found.start, found.end)).toBe(redundant);
        expect(found.necessary).toBeCloseTo(necessary, 12);
        const [sample] = batchOf([{ group: 'a', reward: 1, length: text.length, text }]).samples;
        expect(sample && tokensWithin(sample, found, tokenizer)).toEqual([found.start, found.end]);
      } else expect(found).not.toBeNull();
    }
  });

  it('normalises rewards of tokens at each place, as a plain loop does', () => {
    const group: [string, number][] = [
      ['3=3;1=1;0=0#3', 1],
      ['3=3#3', 1],
      ['1=1;2=2#2', 0],
      ['2=2;3=3;9=9#3', 1],
    ];
    const batch = batchOf(group.map(([text, reward]) => ({ group: 'a', reward, length: text.length, text })));
    const recipe = recipeOf('grpo+decs', { max_completion_length: 20, decs_beta: 0.3 });
    const got = recipe.slots.advantage.compute(batch, hostOf(recipe).context('advantage', recipe.slots.advantage));
    // redundant characters, by hand
    const spans = [
      [3, 11],
      [0, 0],
      [0, 0],
      [7, 11],
    ] as const;
    let k = 0;
    for (const [i, [text]] of group.entries())
      for (let t = 0; t < text.length; t++, k++) {
        const at = group.map(([other, r], j) => {
          const [from, to] = spans[j] as readonly [number, number];
          return t < other.length && t >= from && t < to ? r + 0.3 * (1 - other.length / 20) : r * 1.3;
        });
        const mean = at.reduce((a, b) => a + b, 0) / 4;
        const s = Math.sqrt(at.reduce((a, b) => a + (b - mean) ** 2, 0) / 3);
        expect(got[k]).toBeCloseTo(((at[i] as number) - mean) / (s + 1e-4), 9);
        expect(batch.columns.redundant?.[k]).toBe(t >= (spans[i]?.[0] ?? 0) && t < (spans[i]?.[1] ?? 0) ? 1 : 0);
      }
    // the right answer that goes on too long is held back where it does, and only there
    expect(got[5]).toBeLessThan(got[0] as number);
    expect(got[12]).toBeGreaterThan(0);
  });

  it('lets in easy groups by a share that follows the necessary share', () => {
    const recipe = recipeOf('grpo+decs', { decs_kappa: 0.5, decs_kappa_rate: 2 });
    const part = recipe.slots.filter;
    const host = hostOf(recipe);
    const sampled = (necessary: string) =>
      batchOf(
        [1, 0, 1, 1, 1, 1, 0, 0].map(
          (reward, i): SampleSpec => ({ group: 'abcd'[i >> 1] as string, reward, length: necessary.length, text: necessary }),
        ),
      );
    const keep = (text: string): number[] => [...part.keep(sampled(text), host.context('filter', part))];
    // one mixed group of two: as many easy ones as mixed ones at kappa 1/2
    expect(keep('3=3;1=1#3')).toEqual([0, 1, 2, 3]);
    host.step = 1;
    // the step before gives the first value; nothing changes yet
    expect(keep('3=3;1=1;1=1;1=1#3')).toEqual([0, 1, 2, 3]);
    host.step = 2;
    // the necessary share fell from 1/2 to 1/4: kappa falls by 2 * 1/4 to 0
    expect(keep('3=3#3')).toEqual([0, 1]);
    host.step = 3;
    // and rises by 2 * 3/4 to its bound: 99 easy groups to a mixed one
    expect(keep('3=3#3')).toEqual([0, 1, 2, 3, 4, 5]);
    const { state } = host.context('filter', part);
    expect(JSON.parse(JSON.stringify(state))).toEqual(state);
  });
});

describe('dac-rl', () => {
  it('draws solutions behind divisions and scores both where they were drawn', async () => {
    const settings = { max_completion_length: 20, num_generations: 6, divisions: 3, divide_share: 0.25 };
    const { trajectories, policy } = await rollout('grpo+dac-rl', settings);
    expect(trajectories).toHaveLength(18);
    const bar = tokenizer.encode('|');
    for (const t of trajectories) {
      const [divide, conquer] = t.segments as [Segment, Segment];
      expect([divide.role, conquer.role, divide.parent, conquer.parent]).toEqual(['divide', 'conquer', -1, 0]);
      expect([...divide.context]).toEqual([...t.prompt.tokens, ...bar]);
      const subproblems = tokenizer.encode(said([...divide.tokens]));
      expect([...conquer.context]).toEqual([...t.prompt.tokens, ...bar, ...subproblems, ...bar]);
      expect([divide.tokens.length <= 5, conquer.tokens.length <= 15]).toEqual([true, true]);
    }
    await checkLogps(trajectories, policy);
    policy.dispose();
    const recipe = recipeOf('grpo+dac-rl');
    const samples = recipe.slots.grouping.samples(trajectories, hostOf(recipe).context('grouping', recipe.slots.grouping));
    const sizes = new Map<string, number>();
    for (const s of samples) sizes.set(s.group, (sizes.get(s.group) ?? 0) + 1);
    expect([...sizes.values()].sort()).toEqual([...Array(9).fill(2), ...Array(3).fill(3)]);
    expect(new Set(samples.flatMap((s) => s.segments)).size).toBe(samples.length);
  });

  it('gives divisions what the truth table says', async () => {
    for (const own of [false, true])
      for (const other of [false, true])
        for (const subproblems of [0, 1, 2]) {
          const recipe = recipeOf('grpo+dac-rl');
          const segment = (role: string): Segment => {
            const [made] = batchOf([{ group: 'a', reward: 0, length: 2, role }]).samples;
            return { ...(made?.segments[0] as Segment) };
          };
          const trajectory = (first: Segment, count: number, right: boolean): Trajectory => ({
            prompt: { id: 0, text: 'q', tokens: Int32Array.of(5), place: 4, columns: {} },
            segments: [first, segment('conquer')],
            text: right ? 'right' : 'wrong',
            finish_reason: 'stop',
            trains: true,
            age: 0,
            notes: { subproblems: count },
          });
          const [a, b] = [segment('divide'), segment('divide')];
          const trajectories = [trajectory(a, subproblems, false), trajectory(a, subproblems, own), trajectory(b, 2, other)];
          const host = hostOf(recipe, [{ name: 'r', score: (_, texts) => texts.map((t) => (t === 'right' ? 1 : 0)) }]);
          const { grouping, reward } = recipe.slots;
          const scored = await reward.score(
            grouping.samples(trajectories, host.context('grouping', grouping)),
            host.context('reward', reward),
          );
          const want = subproblems < 2 ? 0 : own || !other ? 1 : 0;
          expect(scored.find((s) => s.segments[0] === a)?.reward).toBe(want);
          expect(scored.filter((s) => s.segments[0]?.role === 'conquer').map((s) => s.reward)).toEqual([0, own ? 1 : 0, other ? 1 : 0]);
        }
  });
});

describe('answers outside of training', () => {
  const { model, params } = tinyPolicy(3);
  const rows = texts.map((prompt) => ({ prompt }));
  const samplesOf = (spec: string, settings: Settings, samples = 4) =>
    rolloutSamples({ model, params, tokenizer, recipe: recipeOf(spec), settings, rows, samples, seed: 9 });

  it('are those of the rollout, equal in equal calls, and plain ones where one chunk is enough', async () => {
    const chunked = await samplesOf('grpo+delethink', { max_completion_length: 24, max_chunks: 4 });
    expect(chunked.map((own) => own.length)).toEqual([4, 4, 4]);
    for (const [i, own] of chunked.entries()) for (const t of own) expect(t.prompt.text).toBe(texts[i]);
    expect(chunked.flat().some((t) => t.segments.length > 1)).toBe(true);
    expect(await samplesOf('grpo+delethink', { max_completion_length: 24, max_chunks: 4 })).toEqual(chunked);
    const [plain, one] = [
      await samplesOf('grpo', { max_completion_length: 24 }),
      await samplesOf('grpo+delethink', { max_completion_length: 24, max_chunks: 1 }),
    ];
    expect(one.flat().map((t) => t.text)).toEqual(plain.flat().map((t) => t.text));
  });

  it('say where a rollout cannot give them', async () => {
    await expect(samplesOf('grpo+dac-rl', { max_completion_length: 6 }, 6)).rejects.toThrow(/gave 4 completions of a problem, not 6/);
    expect(recipeOf('grpo+dac-rl').slots.rollout.decodes).toBe(true);
    expect(recipeOf('grpo+hgpo').slots.rollout.decodes).toBeUndefined();
  });
});

describe('in the loop', () => {
  const flat = (tree: unknown): number[] => treeEntries<NDArray>(tree as Tree<NDArray>).flatMap(([, p]) => p.toNumbers());
  const specs = ['length-penalty', 'laser', 'laser-d', 'discounted', 'decs', 'elastic-reasoning', 'delethink', 'hgpo', 'dac-rl'];

  it.each([...specs, ...specs.map((s) => `grpo+${s}`).slice(4), 'grpo+laser+elastic-reasoning+clip-higher'])(
    '%s runs, changes the weights and keeps them finite',
    async (spec) => {
      const { model, params } = tinyPolicy(1);
      const optimizer = optimizers.sgd as NonNullable<typeof optimizers.sgd>;
      const rows: number[] = [];
      const settings = {
        prompts_per_step: 2,
        num_generations: 4,
        max_completion_length: 8,
        ...(spec.includes('dac') ? { divisions: 2 } : {}),
      };
      const result = await trainRl({
        model,
        start: params,
        tokenizer,
        recipe: recipeOf(spec, settings),
        optimizer: { method: optimizer, settings: { ...optimizer.defaults, learning_rate: 0.01 } },
        schedule: { method: schedules.constant as NonNullable<typeof schedules.constant>, settings: {} },
        args: { max_steps: 2, max_grad_norm: 0 },
        data: texts.map((prompt) => ({ prompt })),
        rewards: [{ name: 'odd', score: (_, completions) => completions.map((c) => (c.length + c.charCodeAt(c.length - 1)) % 2 || 0) }],
        seed: 1,
        threads: 1,
        onCompletions: (own) => rows.push(own.length),
      });
      expect(result.status).toBe('finished');
      const now = flat(result.params);
      expect(now.every(Number.isFinite)).toBe(true);
      expect(now.some((x, i) => x !== flat(params)[i])).toBe(true);
      // two divisions and four solutions of each of two problems
      if (spec.includes('dac')) expect(rows).toEqual([12, 12]);
    },
    30_000,
  );
});
