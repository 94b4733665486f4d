import { describe, expect, it } from 'vitest';
import type { Settings } from '../../../src/contracts/index.js';
import { RolloutBatch } from '../../../src/train/rl/batch.js';
import type { PolicyService, RolloutContext } from '../../../src/train/rl/contract.js';
import { forgettingWeights } from '../../../src/train/rl/methods/eepo.js';
import { type Branch, editDistance, LookaheadTree, type Written } from '../../../src/train/rl/parts/lookaheadTree.js';
import { stepValues } from '../../../src/train/rl/parts/searchRollout.js';
import { backUp, newNode, pathTo, type SearchNode, SearchTree } from '../../../src/train/rl/parts/searchTree.js';
import { flatTrajectory, type ScoredSample, type Segment, type Trajectory } from '../../../src/train/rl/trajectory.js';
import { madeUpPolicy, problems } from './slots.js';
import { hostOf, numbers, recipeOf, tokenizer } from './support.js';

const trajectoryOf = (length: number, next: () => number, notes: Trajectory['notes'] = {}): Trajectory =>
  flatTrajectory({
    prompt: problems.prompt(0),
    context: Int32Array.of(5),
    tokens: Int32Array.from({ length }, () => 4 + Math.floor(90 * next())),
    logps: Float32Array.from({ length }, () => -3 * next()),
    entropies: new Float32Array(length),
    text: 'a',
    finish_reason: 'stop',
    notes,
  });

/** Trajectories of a recipe's rollout on the first problems, four of each. */
async function sampled(spec: string, settings: Settings, score: (t: Trajectory) => number, policy: PolicyService = madeUpPolicy()) {
  const recipe = recipeOf(spec, settings);
  const host = hostOf(recipe, [], { max_completion_length: 12 }, policy);
  const prompts = Array.from({ length: 4 }, (_, i) => ({ ...problems.prompt(4 + i), place: i }));
  const { rollout, scaffold, grouping } = recipe.slots;
  const context: RolloutContext = {
    ...host.context('rollout', rollout),
    progress: 0.5,
    num_generations: 4,
    score: async (own) => Float64Array.from(own, score),
    scaffold: async (own) => scaffold.apply(own, host.context('scaffold', scaffold)),
  };
  const made = await rollout.sample(await context.scaffold(prompts), context);
  return { made, samples: grouping.samples(made, host.context('grouping', grouping)), recipe, host };
}

describe('EEPO', () => {
  it('weighs log-probabilities with the slope of the mean of -log(1 - p)', () => {
    const next = numbers(3);
    const own = [3, 5, 2].map((length) => trajectoryOf(length, next));
    const loss = (logps: readonly (readonly number[])[]): number =>
      logps.reduce((sum, l) => sum + l.reduce((s, x) => s - Math.log(1 - Math.exp(x)), 0) / l.length, 0) / logps.length;
    const logps = own.map((t) => [...(t.segments[0] as Segment).logps]);
    const weights = forgettingWeights(own).map((s) => [...s.weights]);
    for (const [i, row] of logps.entries())
      for (const [t, x] of row.entries()) {
        const at = (by: number): number => loss(logps.map((r, j) => (j === i ? r.map((y, u) => (u === t ? y + by : y)) : r)));
        const slope = (at(1e-6) - at(-1e-6)) / 2e-6;
        expect(Math.abs((weights[i]?.[t] as number) / slope - 1)).toBeLessThan(1e-6 + 1e-9 / Math.abs(x));
      }
  });

  it('forgets only when the entropy of the last steps is low, and moves the weights down', async () => {
    const rates: number[] = [];
    const policy = { ...madeUpPolicy() };
    policy.nudged = async (sequences, rate, use) => {
      rates.push(rate);
      expect(sequences.length).toBe(8);
      return use();
    };
    const recipe = recipeOf('grpo+eepo');
    const host = hostOf(recipe, [], { max_completion_length: 12 }, policy);
    const prompts = Array.from({ length: 4 }, (_, i) => ({
      prompt: { ...problems.prompt(i), place: i },
      context: problems.prompt(i).tokens,
    }));
    const sizes: number[] = [];
    for (const alpha of [1, 1, 0.19, 0.21]) {
      host.settings = { ...host.settings, eepo_entropy: alpha };
      const context = { ...host.context('rollout', recipe.slots.rollout), num_generations: 4 } as RolloutContext;
      sizes.push((await recipe.slots.rollout.sample(prompts, context)).length);
    }
    // the made-up policy has 0.2 nats a token, and the first step has none before it
    expect(rates).toEqual([-0.03, -0.03]);
    expect(sizes).toEqual([16, 16, 16, 16]);
  });
});

describe('HiPO', () => {
  it('adds groups that begin with prefixes of the successes of near misses, as many as there are groups without signal', async () => {
    // of the problems 4 to 7: one success of four, three of four, none, one of four
    const successes = new Map<number, Trajectory[]>();
    const { made, samples } = await sampled('grpo+hipo', {}, (t) => {
      if (t.notes.self_hint) return 0;
      const own = successes.get(t.prompt.id) ?? [];
      successes.set(t.prompt.id, own);
      if (!own.includes(t)) own.push(t);
      return own.indexOf(t) < ([1, 3, 0, 1][t.prompt.id - 4] as number) ? 1 : 0;
    });
    const hinted = made.slice(16);
    expect(made.slice(0, 16).every((t) => !t.notes.self_hint)).toBe(true);
    expect(hinted).toHaveLength(4);
    const [source] = successes.get(4) as [Trajectory];
    const whole = (source.segments[0] as Segment).tokens;
    for (const t of hinted) {
      const { context } = t.segments[0] as Segment;
      const prefix = context.slice(source.prompt.tokens.length);
      expect(t.prompt.id).toBe(4);
      expect([...context]).toEqual([...source.prompt.tokens, ...whole.slice(0, prefix.length)]);
      expect(prefix.length).toBeGreaterThanOrEqual(1);
      expect(prefix.length).toBeLessThanOrEqual(0.45 * whole.length);
      expect(t.text.startsWith(tokenizer.decode(prefix))).toBe(true);
    }
    // each of them draws for itself, and they are a group of their own
    expect(new Set(hinted.map((t) => t.text)).size).toBeGreaterThan(1);
    expect(samples.map((s) => s.group).filter((g) => g.endsWith('hinted'))).toHaveLength(4);
    expect(new Set(samples.map((s) => s.group)).size).toBe(5);
  });

  it('puts them in the place of groups without signal', () => {
    const recipe = recipeOf('grpo+hipo');
    const next = numbers(2);
    const of = (group: string, rewards: readonly number[]): ScoredSample[] =>
      rewards.map((reward) => ({ trajectory: trajectoryOf(2, next), segments: [], group, reward, rewards: {} }));
    const batch = new RolloutBatch([...of('a', [0, 0]), ...of('b', [0, 1]), ...of('a hinted', [1, 0])]);
    const { filter } = recipe.slots;
    expect(filter.keep(batch, hostOf(recipe).context('filter', filter))).toEqual([2, 3, 4, 5]);
    expect(filter.refill).toBeUndefined();
  });
});

describe('Scaf-GRPO', () => {
  const steps = (t: Trajectory): number => Number(t.notes.tier ?? -1);

  it('replaces one failure of an unsolved group by the success with the least hint', async () => {
    // problem 4 is solved, 5 with any hint, 6 with the second, 7 never
    const needs = [-1, 0, 1, 9];
    const { made } = await sampled('grpo+scaf-grpo', {}, (t) => (steps(t) >= (needs[t.prompt.id - 4] as number) ? 1 : 0));
    expect(made).toHaveLength(16);
    const tiers = [4, 5, 6, 7].map((id) => made.filter((t) => t.prompt.id === id).map(steps));
    expect(tiers).toEqual([
      [-1, -1, -1, -1],
      [0, -1, -1, -1],
      [1, -1, -1, -1],
      [-1, -1, -1, -1],
    ]);
    const [hinted] = made.filter((t) => t.prompt.id === 6) as [Trajectory];
    // problem 6 has three steps, of which the last would give the answer away: half of the other two is shown
    const shown = '6+0=6;';
    expect(hinted.text.startsWith(shown)).toBe(true);
    expect(tokenizer.decode((hinted.segments[0] as Segment).context)).toBe(`6,+2=${shown}`);
  });

  it('leaves the first part of the run alone', async () => {
    const { made } = await sampled('grpo+scaf-grpo', { scaf_exempt: 0.6 }, (t) => (steps(t) >= 0 ? 1 : 0));
    expect(made.every((t) => steps(t) === -1)).toBe(true);
  });
});

describe('LATR', () => {
  const eos = new Set([2]);

  it('has the Levenshtein distance', () => {
    const slow = (a: readonly number[], b: readonly number[]): number => {
      if (a.length === 0 || b.length === 0) return a.length + b.length;
      const [x, y] = [a.slice(1), b.slice(1)];
      return Math.min(slow(x, b) + 1, slow(a, y) + 1, slow(x, y) + (a[0] === b[0] ? 0 : 1));
    };
    const next = numbers(5);
    for (let turn = 0; turn < 40; turn++) {
      const [a, b] = [5, 4].map((most) => Array.from({ length: Math.floor(most * next()) }, () => Math.floor(3 * next()))) as [
        number[],
        number[],
      ];
      expect(editDistance(a, b)).toBe(slow(a, b));
    }
  });

  /** The two best tokens behind a prefix, and their probabilities, by a made-up rule. */
  const twoBest = (seed: number, prefix: readonly number[]): readonly [number, number, number, number] => {
    const h = prefix.reduce((x, t, i) => (Math.imul(x, 31) + t * (i + 7)) >>> 0, seed + 1);
    const next = numbers((h % 2147483646) + 1);
    next();
    const first = 0.35 + 0.5 * next();
    // few tokens, so that branches resemble each other now and then
    const token = next() < 0.04 ? 2 : 4 + Math.floor(2 * next());
    return [token, first, token === 4 ? 5 : 4, Math.min(0.9 * first, 1 - first) * (0.5 + 0.5 * next())];
  };

  it('grows the trees that a token-by-token loop grows, however many tokens are written at once', () => {
    const shape = { capacity: 4, least: 0.25, gap: 0.2, windows: [3, 5], resemblance: 0.4, longest: 14 };
    let pruned = 0;
    for (let seed = 0; seed < 40; seed++) {
      const tree = new LookaheadTree(shape, eos);
      const write = ({ written }: Branch, count: number): void => {
        for (let i = 0; i < count && written.at(-1)?.token !== 2; i++) {
          const [token, p, rival, q] = twoBest(
            seed,
            written.map((w: Written) => w.token),
          );
          written.push({ token, logp: Math.log(p), entropy: 0, rival: { token: rival, logp: Math.log(q) } });
        }
      };
      const next = numbers(seed + 1);
      for (let waiting = tree.advance(); waiting.length > 0; waiting = tree.advance())
        for (const branch of waiting) write(branch, 1 + Math.floor(4 * next()));

      // the same with all branches one token at a time
      interface Row {
        tokens: number[];
        born: number;
        parent: Row | undefined;
      }
      let rows: Row[] = [{ tokens: [], born: 0, parent: undefined }];
      const all = new Set(rows);
      let t = 0;
      for (; t < shape.longest; t++) {
        const done = (r: Row): boolean => r.tokens.at(-1) === 2;
        const made: Row[] = [];
        for (const row of rows.filter((r) => !done(r))) {
          const [, p, rival, q] = twoBest(seed, row.tokens);
          if (q > shape.least && p - q < shape.gap && rows.length + made.length < shape.capacity)
            made.push({ tokens: [...row.tokens, rival], born: t, parent: row });
        }
        // parents that were given up grow on here as the measure of their children
        for (const row of all) if (!done(row)) row.tokens = [...row.tokens, twoBest(seed, row.tokens)[0]];
        for (const row of made) all.add(row);
        rows.push(...made);
        const kept = rows.filter(({ tokens, born, parent }) => {
          const age = t + 1 - born;
          if (!parent || !shape.windows.includes(age) || !rows.includes(parent)) return true;
          const [a, b] = [tokens.slice(born), parent.tokens.slice(born)];
          if (a.length < age || b.length < age || a.includes(2) || b.includes(2)) return true;
          return editDistance(a, b) / age >= shape.resemblance;
        });
        pruned += rows.length - kept.length;
        rows = kept;
        const compared = rows.every((r) => r.born + 5 < t + 1);
        if ((rows.length >= shape.capacity && compared) || rows.every(done)) {
          t++;
          break;
        }
      }
      expect(tree.length).toBe(t);
      const leaves = tree.branches.map(({ written }) => written.slice(0, tree.length).map((w) => w.token));
      expect(leaves).toEqual(rows.map((r) => r.tokens));
    }
    expect(pruned).toBeGreaterThan(5);
  });

  it('completes every group, tree and rest together', async () => {
    for (const share of [1, 0.5]) {
      const { made } = await sampled('grpo+latr', { latr_share: [share, share, share, share, share] }, () => 0);
      expect([4, 5, 6, 7].map((id) => made.filter((t) => t.prompt.id === id).length)).toEqual([4, 4, 4, 4]);
      for (const t of made) {
        const [s] = t.segments as [Segment];
        expect(s.tokens.length).toBeLessThanOrEqual(12);
        expect([s.logps.length, s.entropies.length]).toEqual([s.tokens.length, s.tokens.length]);
      }
    }
  });
});

describe('DeepSearch', () => {
  const child = (parent: SearchNode, terminal = false): SearchNode => {
    const made = newNode(parent, { tokens: [5], logps: [-1], entropies: [0], terminal });
    parent.children.push(made);
    return made;
  };
  const root = (): SearchNode => newNode(undefined, { tokens: [], logps: [], entropies: [], terminal: false });

  it('backs outcomes up with weights that grow along the path, and keeps the beginnings of right solutions positive', () => {
    const top = root();
    const [a, b] = [child(top), child(top)] as [SearchNode, SearchNode];
    const [c, d] = [child(a, true), child(a, true)] as [SearchNode, SearchNode];
    backUp(c, -1);
    // a leaf at depth 2: weights 1/3, 2/3, 1 from the root on
    expect([top, a, c].map((n) => n.value)).toEqual([-1 / 3, -2 / 3, -1]);
    backUp(d, 1);
    expect([top, a, d].map((n) => n.value)).toEqual([1 / 3, 2 / 3, 1]);
    backUp(c, -1);
    expect([top, a, c].map((n) => [n.value, n.visits])).toEqual([
      [1 / 3, 3],
      [2 / 3, 3],
      [-2, 2],
    ]);
    expect([b.value, b.visits]).toEqual([0, 0]);
    expect(pathTo(d)).toEqual([a, d]);
    // whatever comes in whatever order, no node of a right path ends below zero
    const next = numbers(4);
    for (let turn = 0; turn < 20; turn++) {
      const tree = root();
      const leaves = [0, 1, 2].flatMap(() => {
        const inner = child(child(tree));
        return [child(inner, true), child(inner, true)];
      });
      const outcomes = leaves.map(() => (next() < 0.4 ? 1 : -1));
      const order = [...leaves.keys()].sort(() => next() - 0.5);
      for (const i of order) backUp(leaves[i] as SearchNode, outcomes[i] as number);
      for (const [i, leaf] of leaves.entries())
        if (outcomes[i] === 1) for (const node of pathTo(leaf)) expect(node.value).toBeGreaterThan(0);
    }
  });

  const settings = { solutions: 3, width: 2, depth: 3, exploration: 2, frontier: [0.4, 0, 0.01] as const };
  const step = (logp: number, terminal = false) => ({ tokens: [5], logps: [logp], entropies: [0], terminal });

  it('chooses the right solution before wrong ones, and of equal ones the surest', () => {
    for (const [outcomes, expected] of [
      [[-1, 1], 1],
      [[-1, -1], 0],
      [[1, 1], 0],
    ] as const) {
      const tree = new SearchTree({ ...settings, solutions: 1 });
      const fresh = tree.expand([step(-0.1, true), step(-0.9, true)]);
      for (const [i, node] of fresh.entries()) node.outcome = outcomes[i] as number;
      tree.settle(fresh);
      expect(tree.solutions).toEqual([fresh[expected]]);
      expect(tree.current).toBeUndefined();
    }
  });

  it('goes down while no solution is found, then on at the best node of the frontier, and takes what was passed over at last', () => {
    const tree = new SearchTree(settings);
    const [a, b] = tree.expand([step(-1), step(-1)]) as [SearchNode, SearchNode];
    tree.settle([a, b]);
    expect(tree.current).toBe(a);
    const [c, d] = tree.expand([step(-1, true), step(-2, true)]) as [SearchNode, SearchNode];
    [c.outcome, d.outcome] = [-1, -1];
    tree.settle([c, d]);
    // c is chosen, a is full, so that b is what is left of the frontier
    expect(tree.solutions).toEqual([c]);
    expect(tree.current).toBe(b);
    const [e, f] = tree.expand([step(-3, true), step(-4, true)]) as [SearchNode, SearchNode];
    [e.outcome, f.outcome] = [-1, 1];
    tree.settle([e, f]);
    // then nothing can be expanded, and d, passed over, is surer than e
    expect(tree.solutions).toEqual([c, f, d]);
    expect(tree.current).toBeUndefined();
  });

  it('credits the tokens of each step with its value against the mean outcome', () => {
    const next = numbers(9);
    const notes = { search: { sizes: [2, 3, 1], values: [0.5, -0.25, -1] } };
    const samples = [
      [6, 0, notes],
      [3, 1, { search: { sizes: [3], values: [1] } }],
      [2, 1, {}],
    ] as const;
    const batch = new RolloutBatch(
      samples.map(([length, reward, own]): ScoredSample => {
        const trajectory = trajectoryOf(length, next, own as Trajectory['notes']);
        return { trajectory, segments: trajectory.segments, group: 'a', reward, rewards: {} };
      }),
    );
    const got = stepValues.compute(batch, hostOf(recipeOf('deepsearch')).context('advantage', stepValues));
    const mean = (-1 + 1 + 1) / 3;
    const q = [Math.tanh(0.5), Math.tanh(0.5), ...new Array(3).fill(Math.tanh(-0.25)), -1, 1, 1, 1, 1, 1];
    expect([...got]).toEqual(q.map((x) => expect.closeTo(x - mean, 12)));
  });

  it('gives groups of solutions whose steps add up to them, and replays a rare solution later', async () => {
    let asked = 0;
    const { made, host, recipe } = await sampled('deepsearch', {}, (t) =>
      t.prompt.id === 5 && t.text.length > 3 && asked++ === 0 ? 1 : 0,
    );
    expect(made.length).toBeGreaterThan(8);
    for (const t of made) {
      const { sizes, values } = t.notes.search as { sizes: number[]; values: number[] };
      expect(sizes.reduce((a, b) => a + b, 0)).toBe((t.segments[0] as Segment).tokens.length);
      expect(values).toHaveLength(sizes.length);
    }
    const { rollout } = recipe.slots;
    const context = host.context('rollout', rollout);
    const solution = [...tokenizer.encode('5#6'), 2];
    (context.state as { solved: Record<string, number[]> }).solved[5] = solution;
    const prompts = [4, 5].map((id, place) => ({ prompt: { ...problems.prompt(id), place }, context: problems.prompt(id).tokens }));
    const score = async (own: readonly Trajectory[]) => Float64Array.from(own, (t) => (t.text === '5#6' ? 1 : 0));
    const again = await rollout.sample(prompts, { ...context, num_generations: 4, score } as RolloutContext);
    const own = again.filter((t) => t.prompt.id === 5);
    expect(own).toHaveLength(4);
    expect(own.filter((t) => t.notes.replayed === true).map((t) => [...(t.segments[0] as Segment).tokens])).toEqual([solution]);
    // 1 of 4 is rare still; with 2 of 4 right it is not kept any longer
    expect((context.state as { solved: Record<string, number[]> }).solved[5]).toEqual(solution);
    const more = async (all: readonly Trajectory[]) => Float64Array.from(all, (_, i) => i % 2);
    await rollout.sample(prompts, { ...context, num_generations: 4, score: more } as RolloutContext);
    expect((context.state as { solved: Record<string, number[]> }).solved[5]).toBeUndefined();
  });
});
