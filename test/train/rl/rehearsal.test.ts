import { describe, expect, it } from 'vitest';
import type { Settings } from '../../../src/contracts/index.js';
import { schedules } from '../../../src/optim/schedule/index.js';
import { optimizers } from '../../../src/optim/transform/index.js';
import { type NDArray, type Tree, treeEntries } from '../../../src/tensor/index.js';
import type { MetricsLine } from '../../../src/train/pretrain.js';
import type { HostContext, NamedReward, PolicyService } from '../../../src/train/rl/contract.js';
import { corpusContexts, matchesPrefix, prefixReward } from '../../../src/train/rl/parts/nextTokenReasoning.js';
import { fewShots } from '../../../src/train/rl/parts/oneShot.js';
import { divergenceFromStart, withPresampling } from '../../../src/train/rl/parts/rehearsal.js';
import { functionRewards } from '../../../src/train/rl/parts/reward.js';
import { shuffledPrompts } from '../../../src/train/rl/parts/sampling.js';
import { promptDataset } from '../../../src/train/rl/prompts.js';
import { flatTrajectory, type Prompt } from '../../../src/train/rl/trajectory.js';
import { trainRl } from '../../../src/train/rl.js';
import { runTokenLoss, tokenCase } from './graph.js';
import { hostOf, recipeOf, tinyPolicy, tokenizer } from './support.js';

/** Answers problem d with the digit d in the first d of every ten completions, else with nothing right. */
const policy: PolicyService = {
  generate: async (requests) =>
    requests.map(({ context, n = 1 }, prompt) => {
      const digit = Number(tokenizer.decode(context));
      return Array.from({ length: n }, (_, index) => {
        const text = index < Math.round((digit / 10) * n) ? String(digit) : 'x';
        const tokens = Int32Array.from([...tokenizer.encode(text), 2]);
        const zeros = new Float32Array(tokens.length);
        return { prompt, index, tokens, text, finish_reason: 'stop' as const, logps: zeros, sampling_logps: zeros, entropies: zeros };
      });
    }),
  logps: async (sequences) => sequences.map(({ tokens }) => Float64Array.from(tokens, (t) => -t / 10)),
  // the surer, the nearer to the end: the first tokens are the least certain
  measure: async (sequences) => sequences.map(({ tokens }) => Float64Array.from(tokens, (_, j) => tokens.length - j)),
  nudged: () => Promise.reject(new Error('no policy')),
};
const right: NamedReward = { name: 'right', score: (prompts, completions) => completions.map((c, i) => (c === prompts[i] ? 1 : 0)) };
const data = promptDataset(
  Array.from({ length: 10 }, (_, i) => ({ prompt: `${i}` })),
  tokenizer,
);

describe('DPH-RL', () => {
  it.each([
    ['forward', (p: number[], q: number[]) => p.reduce((s, x, v) => s + x * Math.log(x / (q[v] as number)), 0)],
    [
      'js',
      (p: number[], q: number[]) =>
        [p, q].reduce((sum, d) => sum + d.reduce((s, x, v) => s + x * Math.log((2 * x) / ((p[v] as number) + (q[v] as number))), 0), 0),
    ],
  ] as const)(
    '%s: the mean over tokens that the start policy draws is the divergence of the distributions, and so is its slope',
    async (divergence, exact) => {
      const p = [0.5, 0.3, 0.15, 0.05];
      const q = [0.2, 0.25, 0.3, 0.25];
      const column = (d: number[]): number[][] => d.map((x) => [Math.log(x)]);
      const given = {
        ...tokenCase({ lengths: [1, 1, 1, 1] }),
        logp: column(q),
        weight: p.map((x) => [x]),
        columns: { start_logp: column(p) },
      };
      const loss = divergenceFromStart.loss as NonNullable<typeof divergenceFromStart.loss>;
      const { total, slope, losses } = await runTokenLoss(loss, given, { divergence, divergence_coef: 0.5 });
      expect(total).toBeCloseTo(0.5 * exact(p, q), 6);
      for (const [x] of losses) expect(x).toBeGreaterThanOrEqual(0);
      // along a change of q that keeps it a distribution: slope . dlogq = derivative of the divergence
      const direction = [0.1, -0.3, 0.15, 0.05];
      const along = slope.reduce((s, [g], v) => s + ((g as number) * (direction[v] as number)) / (q[v] as number), 0);
      const moved = (h: number): number =>
        exact(
          p,
          q.map((x, v) => x + h * (direction[v] as number)),
        );
      expect(along).toBeCloseTo((0.5 * (moved(1e-5) - moved(-1e-5))) / 2e-5, 4);
    },
  );

  it('rehearses a right completion of each problem that is nearly always solved, and trains on the others only', async () => {
    const settings = { presample_problems: 0, presample_generations: 10, perfect_rate: 0.75 };
    const host = hostOf(recipeOf('dph-rl', settings), [right], {}, policy);
    const prompts = withPresampling(shuffledPrompts);
    const context = host.context('prompts', prompts);
    const asked = [...(await prompts.next(16, data, context)), ...(await prompts.next(16, data, context))];
    expect(new Set(asked.map((p) => p.id))).toEqual(new Set([0, 1, 2, 3, 4, 5, 6, 7]));
    const own = await divergenceFromStart.sequences([] as never, host.context('auxiliary', divergenceFromStart));
    expect(
      own.map(({ context: c, tokens }) => `${tokenizer.decode(c)} ${tokenizer.decode(tokens.subarray(0, 1))} ${tokens[1]}`).sort(),
    ).toEqual(['8 8 2', '9 9 2']);
    for (const { tokens, weights, columns } of own) {
      expect(Array.from(weights)).toEqual([0.25, 0.25]);
      expect(columns?.start_logp).toEqual(Array.from(tokens, (t) => -t / 10));
    }
    // the state is plain JSON: a restored host goes on alike
    const again = hostOf(
      recipeOf('dph-rl', settings),
      [right],
      {},
      { ...policy, generate: () => Promise.reject(new Error('drawn twice')) },
    );
    again.restore(JSON.parse(JSON.stringify(host.save())));
    await prompts.next(4, data, again.context('prompts', prompts));
    expect(await divergenceFromStart.sequences([] as never, again.context('auxiliary', divergenceFromStart))).toEqual(own);
  });
});

describe('1-shot RLVR', () => {
  it('repeats the problem whose reward varies most, or the first', async () => {
    const part = fewShots(shuffledPrompts);
    const host = hostOf(recipeOf('one-shot-rlvr', { num_generations: 10 }), [right], {}, policy);
    const context: HostContext<never> = host.context('prompts', part) as never;
    const asked = [...(await part.next(6, data, context)), ...(await part.next(6, data, context))];
    expect(asked.map((p) => p.id)).toEqual(Array(12).fill(5));
    const first = hostOf(recipeOf('one-shot-rlvr', { shot_rule: 'first', shots: 2 }));
    const two = await part.next(6, data, first.context('prompts', part) as never);
    expect(two.map((p) => p.id).sort()).toEqual([0, 0, 0, 1, 1, 1]);
    const wrong = hostOf(recipeOf('one-shot-rlvr', { shot_rule: 'best' }));
    await expect(() => part.next(1, data, wrong.context('prompts', part) as never)).rejects.toThrow(/first or variance/);
  });
});

describe('RPT', () => {
  it('accepts exactly the prefixes that end with a token', () => {
    // tokens: ab, é (two bytes), c, ab
    const pieces = ['ab', 'é', 'c', 'ab'];
    const bytes = (s: string): Uint8Array => new TextEncoder().encode(s);
    const own = { encode: () => Int32Array.of(0, 1, 2, 3), tokenBytes: (id: number) => bytes(pieces[id] as string) };
    const truth = pieces.join('');
    const good = new Set(pieces.map((_, i) => pieces.slice(0, i + 1).join('')));
    const candidates = ['', 'b', 'ac', 'abc', `${truth}x`, ...Array.from(truth, (_, i) => truth.slice(0, i + 1))];
    for (const said of candidates) expect(matchesPrefix(said, truth, own)).toBe(good.has(said));
  });

  it('cuts worked solutions before their least certain tokens and asks for the rest', async () => {
    const corpus = promptDataset(
      Array.from({ length: 8 }, (_, i) => ({ prompt: `${i}?`, solution: `${i}+1;${i}+2#7` })),
      tokenizer,
    );
    const host = hostOf(recipeOf('rpt', { rpt_hard_share: 0.25, rpt_ask: '=' }), [], {}, policy);
    const part = corpusContexts(shuffledPrompts);
    const asked = await part.next(8, corpus, host.context('prompts', part));
    const cuts = asked.map(({ id, text, tokens, columns }) => {
      expect(tokenizer.decode(tokens)).toBe(text);
      expect(text.endsWith('=')).toBe(true);
      expect(text.slice(0, -1) + columns.continuation).toBe(`${id}?${id}+1;${id}+2#7`);
      return text.length - 3;
    });
    // nine tokens, a quarter of them: the first two
    expect(new Set(cuts)).toEqual(new Set([0, 1]));
  });

  it('rewards what stands behind the first marker, and scores problems without a corpus as before', async () => {
    const part = prefixReward(functionRewards);
    const cases = [
      ['3+4#7', '7;8', 1],
      ['3+4#7;', '7;8', 1],
      ['3+4#8', '7;8', 0],
      ['3+4#', '7;8', 0],
      ['7', '7;8', 0],
      ['1##2', '#2', 1],
      ['q', undefined, 1],
    ] as const;
    const samples = cases.map(([text, continuation], i) => {
      const empty = { tokens: new Int32Array(0), logps: new Float32Array(0), entropies: new Float32Array(0) };
      const prompt = {
        id: i,
        text: 'q',
        tokens: Int32Array.of(5),
        columns: (continuation === undefined ? {} : { continuation }) as Prompt['columns'],
      };
      const trajectory = flatTrajectory({ prompt, context: Int32Array.of(5), ...empty, text, finish_reason: 'stop' });
      return { trajectory, segments: trajectory.segments, group: 'a' };
    });
    const host = hostOf(recipeOf('rpt'), [right]);
    const scored = await part.score(samples, host.context('reward', part));
    expect(scored.map((s) => s.reward)).toEqual(cases.map(([, , r]) => r));
  });
});

describe('in the loop', () => {
  const { model, params } = tinyPolicy(1);
  const flat = (tree: unknown): number[] => treeEntries<NDArray>(tree as Tree<NDArray>).flatMap(([, p]) => p.toNumbers());
  const letters: NamedReward = { name: 'letter', score: (_, completions) => completions.map((c) => (/^[a-zA-Z0-9]/.test(c) ? 1 : 0)) };

  it.each(['dph-rl', 'one-shot-rlvr', 'rpt', 'grpo+dph-rl', 'grpo+one-shot-rlvr', 'grpo+rpt', 'dph-rl forward'])(
    '%s trains with finite weights',
    async (name) => {
      const [spec, divergence] = name.split(' ') as [string, string | undefined];
      const lines: MetricsLine[] = [];
      const [adam, constant] = [optimizers.adam, schedules.constant];
      if (!adam || !constant) throw new Error('no optimizer');
      const own: Settings = spec.includes('dph')
        ? { perfect_rate: 0.5, divergence: divergence ?? 'js' }
        : spec.includes('rpt')
          ? { rpt_marker: '' }
          : {};
      const result = await trainRl({
        model,
        start: params,
        tokenizer,
        recipe: recipeOf(spec, { prompts_per_step: 3, num_generations: 8, max_completion_length: 2, ...own }),
        optimizer: { method: adam, settings: { ...adam.defaults, learning_rate: 0.01 } },
        schedule: { method: constant, settings: {} },
        args: { max_steps: 3 },
        data: ['a', 'b', 'c', 'd', 'e'].map((prompt) => ({ prompt, solution: 'abcabc' })),
        rewards: [letters],
        seed: 1,
        threads: 1,
        onMetrics: (line) => lines.push(line),
      });
      expect(result.status).toBe('finished');
      expect(lines).toHaveLength(3);
      expect(flat(result.params).every(Number.isFinite)).toBe(true);
      expect(flat(result.params)).not.toEqual(flat(params));
    },
    30_000,
  );
});
