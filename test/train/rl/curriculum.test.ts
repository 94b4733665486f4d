import { describe, expect, it } from 'vitest';
import { RolloutBatch } from '../../../src/train/rl/batch.js';
import type { Scaffolded } from '../../../src/train/rl/contract.js';
import { moveIntervals } from '../../../src/train/rl/parts/backtracking.js';
import { difficulties } from '../../../src/train/rl/parts/curriculum.js';
import { solutionSteps, withHint } from '../../../src/train/rl/parts/hints.js';
import { e2hSchedules, levelsOf } from '../../../src/train/rl/parts/levels.js';
import { filterStep, newSolveStates } from '../../../src/train/rl/parts/solveStates.js';
import { flatTrajectory, type Prompt, type ScoredSample } from '../../../src/train/rl/trajectory.js';
import { problems } from './slots.js';
import { hostOf, recipeOf, tokenizer } from './support.js';

/** Samples of problems with the share of successes that is given for each. */
const observed = (rates: Readonly<Record<number, number>>, notes: Scaffolded['notes'] = {}): RolloutBatch =>
  new RolloutBatch(
    Object.entries(rates).flatMap(([id, rate]) =>
      [0, 1, 2, 3].map((i): ScoredSample => {
        const made = flatTrajectory({
          prompt: problems.prompt(Number(id)),
          context: Int32Array.of(5),
          tokens: Int32Array.of(6),
          logps: new Float32Array(1),
          entropies: new Float32Array(1),
          text: 'a',
          finish_reason: 'stop',
          notes,
        });
        return { trajectory: made, segments: made.segments, group: id, reward: i < 4 * rate ? 1 : 0, rewards: {} };
      }),
    ),
  );

describe('BOTS', () => {
  const recipe = recipeOf('grpo+bots', { bots_forget: 0.2, bots_implicit: 0.3 });
  const host = hostOf(recipe);
  const { prompts } = recipe.slots;
  const context = host.context('prompts', prompts);

  it('updates seen and unseen problems as a plain loop does', async () => {
    await prompts.next(3, problems, context);
    prompts.observe?.(observed({ 1: 0.25, 6: 1 }), context);
    prompts.observe?.(observed({ 1: 0.5, 3: 0 }), context);
    // difficulty 1 + i % 4: anchors 1 - (i % 4) / 3 and 1
    const weak = Array.from({ length: 20 }, (_, i) => 1 - (i % 4) / 3);
    const alpha = new Array(20).fill(1);
    const beta = new Array(20).fill(1);
    let capability = 0;
    for (const [turn, rates] of [
      new Map([
        [1, 0.25],
        [6, 1],
      ]),
      new Map([
        [1, 0.5],
        [3, 0],
      ]),
    ].entries()) {
      const ids = [...rates.keys()];
      const seen = (ids.map((i) => rates.get(i) as number)[0] as number) / 2 + (ids.map((i) => rates.get(i) as number)[1] as number) / 2;
      const low = ((weak[ids[0] as number] as number) + (weak[ids[1] as number] as number)) / 2;
      const now = (seen - low) / (1 - low + 1e-6);
      capability = turn === 0 ? now : 0.9 * capability + 0.1 * now;
      for (let i = 0; i < 20; i++) {
        const guess = Math.min(1, Math.max(0, (weak[i] as number) + capability * (1 - (weak[i] as number))));
        const rate = rates.get(i);
        const [s, f] = rate === undefined ? [0, 0] : [4 * rate, 4 * (1 - rate)];
        const q = rate ?? guess;
        alpha[i] = 0.8 * alpha[i] + 0.2 + 0.7 * s + 0.3 * 4 * q;
        beta[i] = 0.8 * beta[i] + 0.2 + 0.7 * f + 0.3 * 4 * (1 - q);
      }
    }
    for (let i = 0; i < 20; i++) {
      expect(host.tasks.column('bots alpha')[i]).toBeCloseTo(alpha[i], 10);
      expect(host.tasks.column('bots beta')[i]).toBeCloseTo(beta[i], 10);
    }
  });

  it('takes problems in proportion to the posterior that they are nearest to the target', async () => {
    const own = hostOf(recipe);
    const at = own.context('prompts', prompts);
    const [alpha, beta] = [own.tasks.column('bots alpha', 1), own.tasks.column('bots beta', 1)];
    // two problems at 1/2 for certain, the others far away; one of Beta(1, 1) between them
    for (let i = 0; i < 20; i++) [alpha[i], beta[i]] = i < 2 ? [5e4, 5e4] : [9e4, 1e4];
    const [first, second] = await prompts.next(2, problems, at);
    expect([first?.id, second?.id].sort()).toEqual([0, 1]);
    [alpha[0], beta[0]] = [9e4, 1e4];
    [alpha[1], beta[1]] = [1, 1];
    [alpha[2], beta[2]] = [75e3, 25e3];
    // the uniform posterior is nearer to 1/2 than 3/4 is in half of all draws
    let taken = 0;
    for (let turn = 0; turn < 400; turn++) taken += (await prompts.next(1, problems, at))[0]?.id === 1 ? 1 : 0;
    expect(Math.abs(taken / 400 - 0.5)).toBeLessThan(0.1);
  });
});

describe('DPS', () => {
  it('counts seen transitions, forgets, and predicts with the counts', () => {
    const model = newSolveStates(1);
    const settings = { prior: 1, decay: 1 };
    for (const state of [0, 0, 1, 2]) filterStep(model, state, settings);
    // the state before the first is unknown, so that this transition is a third from each
    expect(model.counts.map((c) => Math.round(1e9 * c) / 1e9)).toEqual(
      [1 + 1 / 3 + 1, 1 + 1 / 3, 1 + 1 / 3, 2, 1, 1, 1, 2, 1].map((c) => Math.round(1e9 * c) / 1e9),
    );
    expect(model.next).toEqual([4 / 3, 1, 1].map((c) => expect.closeTo(c / (4 / 3 + 2), 12)));
    const before = [...model.next];
    const columns = [0, 1, 2].map((from) => [0, 1, 2].map((to) => model.counts[3 * to + from] as number));
    filterStep(model, undefined, settings);
    const predicted = [0, 1, 2].map((to) =>
      [0, 1, 2].reduce((s, from) => {
        const column = columns[from] as number[];
        return s + ((before[from] as number) * (column[to] as number)) / column.reduce((a, b) => a + b, 0);
      }, 0),
    );
    for (const [s, p] of predicted.entries()) expect(model.next[s]).toBeCloseTo(p, 12);
    filterStep(model, undefined, { prior: 1, decay: 0 });
    expect(model.counts).toEqual(new Array(9).fill(1));
  });

  it('prefers problems that were partly solved to those that were solved or not', async () => {
    const recipe = recipeOf('grpo+dps', { dps_candidates: 0 });
    const host = hostOf(recipe);
    const { prompts } = recipe.slots;
    const rates = Object.fromEntries(Array.from({ length: 20 }, (_, i) => [i, i % 5 === 0 ? 0.5 : i % 2]));
    for (host.step = 0; host.step < 3; host.step++) prompts.observe?.(observed(rates), host.context('prompts', prompts));
    const taken = await prompts.next(4, problems, host.context('prompts', prompts));
    expect(taken.map((p) => p.id).sort((a, b) => a - b)).toEqual([0, 5, 10, 15]);
    // all of that survives a checkpoint
    const saved = JSON.stringify(host.save());
    const again = hostOf(recipe);
    again.restore(JSON.parse(saved));
    again.step = host.step;
    const more = [host, again].map(async (h) => (await prompts.next(4, problems, h.context('prompts', prompts))).map((p) => p.id));
    expect(await more[1]).toEqual(await more[0]);
  });
});

describe('E2H Reasoner', () => {
  const shape = { speed: 0.5, width: 0.5, floor: 0 };
  const { gaussian, cosine, classic } = e2hSchedules as Record<string, (t: number, k: number, s: typeof shape) => number[]>;

  it('has schedules that begin easy and end hard', () => {
    const [begin, end] = [gaussian?.(0, 4, shape), gaussian?.(1, 4, shape)] as [number[], number[]];
    expect((begin[1] as number) / (begin[0] as number)).toBeCloseTo(Math.exp(-1 / (2 * 0.5 ** 2)), 12);
    expect([...end].reverse()).toEqual(begin.map((p) => expect.closeTo(p, 12)));
    // t^speed (K - 1) = 1.5 lies halfway between two levels
    const middle = gaussian?.(0.25, 4, shape) as number[];
    expect(middle[1]).toBeCloseTo(middle[2] as number, 12);
    for (const p of [begin, middle, end]) expect(p.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 12);
    expect(gaussian?.(0, 4, { ...shape, floor: 0.1 }).at(-1)).toBeCloseTo(0.1 + 0.6 * (begin[3] as number), 12);
    expect(cosine?.(0, 3, shape)).toEqual([3, 2, 1].map((k) => expect.closeTo(k / 6, 12)));
    expect(cosine?.(1, 3, shape)).toEqual([1, 2, 3].map((k) => expect.closeTo(k / 6, 12)));
    expect(cosine?.(0.5, 3, shape)).toEqual([1, 1, 1].map((k) => expect.closeTo(k / 3, 12)));
    expect(classic?.(0.5, 4, shape)).toEqual([0, 0, 1, 0]);
  });

  it('draws levels with these probabilities, and each problem of a level once before any comes again', async () => {
    const recipe = recipeOf('grpo+e2h');
    const { prompts } = recipe.slots;
    const context = { ...hostOf(recipe).context('prompts', prompts), progress: 0.25 };
    const { level } = levelsOf(difficulties(problems), 0);
    const taken: number[] = [];
    for (let turn = 0; turn < 100; turn++) taken.push(...(await prompts.next(20, problems, context)).map((p) => p.id));
    const expected = gaussian?.(0.25, 4, shape) as number[];
    for (const [l, p] of expected.entries()) {
      const own = taken.filter((id) => level[id] === l);
      expect(Math.abs(own.length / taken.length - p)).toBeLessThan(4 * Math.sqrt((p * (1 - p)) / taken.length) + 1e-12);
      for (let at = 0; at + 5 <= own.length; at += 5) expect(new Set(own.slice(at, at + 5)).size).toBe(5);
    }
  });

  it('puts difficulties into bins of equally many values', () => {
    expect([...levelsOf(Float64Array.of(10, 1, 7, 3, 3, 2), 2).level]).toEqual([1, 0, 1, 0, 0, 0]);
    expect(levelsOf(Float64Array.of(10, 1, 7), 0).levels).toBe(3);
  });
});

describe('hints', () => {
  const prompt: Prompt = { ...problems.prompt(3), place: 0 };

  it('are pieces that add up to the solution, written where the format says', () => {
    for (const text of ['1+1=2;2+1=3#3', '#4', 'a\nb\n#### 5', 'no marks', '']) expect(solutionSteps(text).join('')).toBe(text);
    expect(solutionSteps('1+1=2;2+1=3#3')).toEqual(['1+1=2;', '2+1=3#', '3']);
    const behind = withHint(prompt, '3+0=3;', '{prompt}{hint}', tokenizer);
    expect(tokenizer.decode(behind.context)).toBe('3,+3=3+0=3;');
    expect(behind.prefix).toBe('3+0=3;');
    const before = withHint(prompt, '3+0=3;', 'Hint: {hint}\n{prompt}', tokenizer);
    expect(tokenizer.decode(before.context)).toBe('Hint: 3+0=3;\n3,+3=');
    expect(before.prefix).toBeUndefined();
    expect(withHint(prompt, '', 'Hint: {hint}\n{prompt}', tokenizer).context).toEqual(prompt.tokens);
  });

  it('of QuestA are the first share of the solution, less from stage to stage', async () => {
    const recipe = recipeOf('grpo+questa');
    const [phase] = recipe.slots.phases as [(typeof recipe.slots.phases)[number]];
    const host = hostOf(recipe);
    const shares = [0, 0.2, 0.5, 0.7, 0.99].map(
      (progress) => phase.at({ ...host.context('phases', phase), progress })?.settings?.questa_share,
    );
    expect(shares).toEqual([0.5, 0.5, 0.25, 0, 0]);
    const solution = String(prompt.columns.solution);
    const [made] = (await recipe.slots.scaffold.apply([prompt], host.context('scaffold', recipe.slots.scaffold))) as [Scaffolded];
    expect(made.prefix).toBe(solution.slice(0, Math.floor(solution.length / 2)));
    expect(tokenizer.decode(made.context)).toBe(prompt.text + made.prefix);
  });
});

describe('AdaBack', () => {
  const recipe = recipeOf('grpo+adaback', { adaback_plain: 0, adaback_speed: 0.5 });

  it('moves the interval of a problem by its mean reward, and gives unseen problems the averages', () => {
    const host = hostOf(recipe);
    const context = host.context('prompts', recipe.slots.prompts) as Parameters<typeof moveIntervals>[1];
    const [low, high] = [host.tasks.column('revealed low', 0), host.tasks.column('revealed high', 1)];
    moveIntervals(observed({ 2: 0.25 }, { revealed: 0.4, plain: false }), context);
    expect([low[2], high[2], low[7], high[7]]).toEqual([0.4, 1, 0.2, 1]);
    moveIntervals(observed({ 2: 0.5 }, { revealed: 0.8, plain: false }), context);
    expect([low[2], high[2], low[7], high[7]]).toEqual([0, 0.8, 0.1, 0.9]);
    moveIntervals(observed({ 2: 0 }, { revealed: 0, plain: true }), context);
    expect([low[2], high[2]]).toEqual([0, 0.8]);
  });

  it('finds the least share with which each problem is solved', async () => {
    const host = hostOf(recipe);
    const { scaffold, prompts } = recipe.slots;
    const context = host.context('prompts', prompts) as Parameters<typeof moveIntervals>[1];
    const least = Array.from({ length: 20 }, (_, i) => i / 25);
    for (host.step = 0; host.step < 60; host.step++) {
      const asked = Array.from({ length: 20 }, (_, i): Prompt => ({ ...problems.prompt(i), place: i }));
      const made = await scaffold.apply(asked, host.context('scaffold', scaffold));
      for (const { prompt, notes, context: shown, prefix } of made) {
        const revealed = notes?.revealed as number;
        moveIntervals(observed({ [prompt.id]: revealed >= (least[prompt.id] as number) ? 1 : 0 }, { revealed, plain: false }), context);
        const solution = tokenizer.encode(String(prompt.columns.solution));
        expect(shown.length - prompt.tokens.length).toBe(Math.floor(revealed * solution.length));
        expect(String(prompt.columns.solution).startsWith(prefix ?? '?')).toBe(true);
      }
    }
    const high = host.tasks.column('revealed high');
    for (const [i, share] of least.entries()) {
      expect(high[i]).toBeGreaterThanOrEqual(share);
      expect(high[i]).toBeLessThan(share + 0.05);
    }
  });

  it('shows nothing in the given share of cases', async () => {
    const own = recipeOf('grpo+adaback', { adaback_plain: 0.25 });
    const host = hostOf(own);
    let plain = 0;
    for (host.step = 0; host.step < 40; host.step++) {
      const asked = Array.from({ length: 20 }, (_, i): Prompt => ({ ...problems.prompt(i), place: i }));
      const made = await own.slots.scaffold.apply(asked, host.context('scaffold', own.slots.scaffold));
      plain += made.filter(({ notes }) => notes?.plain === true).length;
    }
    expect(Math.abs(plain / 800 - 0.25)).toBeLessThan(0.06);
  });
});
