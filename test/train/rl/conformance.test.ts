import { describe, expect, it } from 'vitest';
import type { Settings } from '../../../src/contracts/index.js';
import { NDArray } from '../../../src/tensor/index.js';
import { RolloutBatch } from '../../../src/train/rl/batch.js';
import type { RlRecipe } from '../../../src/train/rl/compose.js';
import { chainOf, partsOf } from '../../../src/train/rl/compose.js';
import type { HostContext, LossContext, NamedReward, PolicyService, SlotName, TokenLoss, Update } from '../../../src/train/rl/contract.js';
import { rlMethods } from '../../../src/train/rl/methods/index.js';
import { limitInputs, type RlLimit, type RlMethod } from '../../../src/train/rl/methods/slot.js';
import type { Segment } from '../../../src/train/rl/trajectory.js';
import { type CaseOptions, runTokenLoss, tokenCase } from './graph.js';
import { madeUpPolicy, promptValues, rolloutValues, scaffoldValues } from './slots.js';
import { batchOf, hostOf, mixedBatch, numbers, recipeOf, type SampleSpec, sample, tokenizer } from './support.js';
import { worlds } from './worlds.js';

const all = Object.values(rlMethods);

/** A method as users begin a composition with it. */
const specOf = (method: RlMethod): string => (method.recipe ? method.id : `${method.parent}+${method.id}`);

/** Two of three right, one of them with two steps behind the answer. */
const withRedundantSteps = (): RolloutBatch =>
  batchOf(
    ['3+4=7;7+1=8#8', '3+4=7#7', '3+4=7;7-4=3;7=7#7'].map((text, i) => ({ group: 'a', reward: i > 0 ? 1 : 0, length: text.length, text })),
  );

/** Batches of a restriction. */
const batches: Readonly<Record<string, () => RolloutBatch>> = {
  'equal lengths': () =>
    batchOf(Array.from({ length: 6 }, (_, i) => ({ group: i < 4 ? 'a' : 'b', reward: [1, 0, 0.3, 0.3, 2, -1][i] as number, length: 4 }))),
  'full lengths': () => batchOf(Array.from({ length: 4 }, (_, i) => ({ group: 'a', reward: i % 2, length: 8 }))),
  'one group': () => batchOf([1, 0, 0.5, 0].map((reward, i): SampleSpec => ({ group: 'a', reward, length: 1 + i }))),
  'rewards that differ': () =>
    batchOf([1, 0, 0.5, 2, 2, 0].map((reward, i): SampleSpec => ({ group: i < 3 ? 'a' : 'b', reward, length: 1 + i }))),
  'two of four right': () =>
    batchOf([1, 0, 1, 0, 0, 1, 1, 0].map((reward, i): SampleSpec => ({ group: i < 4 ? 'a' : 'b', reward, length: 1 + i }))),
  'redundant steps': withRedundantSteps,
  'others worth nothing': () =>
    batchOf([1, 0, 0, 0].map((reward, i): SampleSpec => ({ group: i < 1 ? 'a' : 'b', reward: i < 1 ? 0 : reward, length: 2 }))),
};

/** Batches that a restriction excludes, where the mixed one is not enough. */
const elsewhere: Readonly<Record<string, () => RolloutBatch>> = {
  'redundant steps': withRedundantSteps,
  'no roles': () =>
    batchOf(
      ['conquer', 'divide', 'divide'].map((role, i) => ({
        group: i > 0 ? 'd' : 'c',
        reward: 0,
        length: 3,
        text: i > 1 ? 'a;b' : 'c',
        role,
      })),
    ),
  'no corpus text': () =>
    new RolloutBatch(
      mixedBatch().samples.map((s) => {
        const prompt = { ...s.trajectory.prompt, columns: { continuation: 'b' } };
        return { ...s, trajectory: { ...s.trajectory, prompt } };
      }),
    ),
  'no greedy sample': () =>
    batchOf(
      [1, 0, 0.5].map((reward, i): SampleSpec => ({ group: 'a', reward, length: 2, ...(i === 2 ? { trains: false, greedy: true } : {}) })),
    ),
};

/** Tokens of a restriction. */
const cases: Readonly<Record<string, CaseOptions>> = {
  'one-token answers': { lengths: [1, 1, 1, 1, 1, 1] },
  'one-token answers near 1': { lengths: [1, 1, 1, 1], drift: 0.2 },
  'on policy': { drift: 0 },
  'ratios near 1': { drift: 0.15 },
  'not fresh samples': { stale: true },
};

async function tokensOf(
  { slots, settings }: RlRecipe,
  slot: 'surrogate' | 'penalty' | 'auxiliary',
  inputs: string | undefined,
  seed: number,
  more: Settings,
) {
  const zero = ({ policy }: LossContext): TokenLoss => ({ loss: policy.logp.mul(0) });
  const imitation = (context: LossContext): TokenLoss => ({
    loss: slots.auxiliary.map((a) => a.loss?.(context).loss ?? context.policy.logp.neg()).reduce((a, b) => a.add(b), zero(context).loss),
  });
  const lossOf = slot === 'auxiliary' ? imitation : (context: LossContext) => slots[slot].loss(context);
  const full = { ...settings, ...more };
  const given = tokenCase({ ...cases[inputs ?? ''], seed });
  const active = slot === 'penalty' ? (slots.penalty.active?.(full) ?? true) : true;
  const surrogate = slot === 'surrogate' ? slots.surrogate : undefined;
  let { columns } = given;
  if (surrogate?.stage) {
    const flat = (rows: number[][]): Float64Array =>
      Float64Array.from(rows.flatMap((row, b) => row.filter((_, t) => given.mask[b]?.[t] === 1)));
    const logp = flat(given.logp);
    const view = {
      logp,
      old_logp: flat(given.old),
      advantage: flat(given.advantage),
      sample: Int32Array.from(flat(given.mask.map((row, b) => row.map(() => b)))),
      column: () => new Float64Array(logp.length),
    };
    const made = surrogate.stage(view, hostOf(recipeOf('grpo'), [], full).context('surrogate', surrogate));
    Object.assign(full, made.knobs);
    columns = Object.fromEntries(
      Object.entries(made.columns ?? {}).map(([name, values]) => {
        let k = 0;
        return [name, given.mask.map((row) => row.map((m) => (m === 1 ? (values[k++] as number) : 0)))];
      }),
    );
  }
  return runTokenLoss(active ? lossOf : zero, { ...given, columns }, full);
}

/** What `someValues` writes behind a context: a character that depends on all tokens before it, and eos once there are nine. */
const writes = '0123456789;#=+';
const written = (before: readonly number[]): number =>
  before.length >= 9 ? 2 : (tokenizer.encode(writes)[before.reduce((h, t, i) => (7 * h + t + i) % 1009, 1) % writes.length] as number);

/**
 * A policy whose completions depend on the context alone, and whose forward passes give numbers that depend on the tokens alone: five a token, or one
 * log-probability.
 */
const someValues: PolicyService = {
  generate: async (requests, { max_tokens = 8, stop = [] } = {}) =>
    requests.map(({ context, n = 1 }, prompt) =>
      Array.from({ length: n }, (_, index) => {
        const tokens: number[] = [];
        const ended = () => tokens.at(-1) === 2 || stop.some((end) => tokenizer.decode(tokens).endsWith(end));
        while (tokens.length < max_tokens && !ended()) tokens.push(written([...context, ...tokens]));
        const values = Float32Array.from(tokens, (t) => -0.5 - Math.cos(t) ** 2);
        const text = tokenizer.decode(tokens, { skip_special_tokens: true });
        return {
          prompt,
          index,
          tokens: Int32Array.from(tokens),
          text: stop.reduce((own, end) => (own.endsWith(end) ? own.slice(0, -end.length) : own), text),
          finish_reason: ended() ? 'stop' : 'length',
          logps: values,
          sampling_logps: values,
          entropies: values,
        };
      }),
    ),
  nudged: () => Promise.reject(new Error('no policy')),
  logps: async (sequences) => sequences.map(({ tokens }) => Float64Array.from(tokens, (t) => -1 - Math.sin(t) ** 2)),
  measure: async (sequences) =>
    sequences.map(({ tokens }) =>
      Float64Array.from([...tokens].flatMap((t) => [0, 1, 2, 3, 4].map((j) => Math.sin(t * (j + 1)) + 0.1 * j))),
    ),
};

/** Where an update slot brings w, from 0 by gradient descent on (w - 1)^2 / 2. */
async function descent(update: Update, batch: RolloutBatch, context: HostContext): Promise<number> {
  let w = 0;
  await update.run({
    ...context,
    batch,
    train: async (samples, { rate = 1 } = {}) => {
      w -= 0.1 * rate * (w - 1) * (samples.length / batch.size);
      return {};
    },
    parameters: {
      snapshot: () => ({ w: new NDArray('f32', [], Float32Array.of(w)) }),
      interpolate: ({ w: from }, alpha) => {
        const at = (from as NDArray).item();
        w = at + alpha * (w - at);
      },
    },
  });
  return w;
}

async function hostValue(recipe: RlRecipe, slot: SlotName, batch: RolloutBatch, more: Settings, inputs?: string): Promise<number[]> {
  const made = hostOf(recipe, [], { ...more, max_completion_length: 12 }, madeUpPolicy());
  if (slot === 'prompts') return promptValues(recipe, made);
  if (slot === 'scaffold') return scaffoldValues(recipe, made);
  if (slot === 'rollout' && inputs === 'chain problems') return rolloutValues(recipe, made);
  const rewards: NamedReward[] = [
    { name: 'r', score: (_, completions) => completions.map((c, i) => c.length + i) },
    { name: 'second', weight: 0, score: (_, completions) => completions.map((c) => c.length) },
  ];
  const world = worlds[inputs ?? ''];
  const host = hostOf(recipe, world?.rewards ?? rewards, more, world?.policy ?? someValues);
  const { slots } = recipe;
  if (slot === 'advantage') {
    batch.reference_logp ??= batch.old_logp.map((x) => 0.9 * x - 0.05);
    await slots.advantage.prepare?.(batch, host.context('advantage', slots.advantage));
    const out = slots.advantage.compute(batch, host.context('advantage', slots.advantage));
    return Array.from(out.length === batch.tokens ? out : batch.spread(out));
  }
  if (slot === 'rollout') {
    const prompts = ['1+2=', '7*8=', '30', '55'].map((text, id) => {
      const tokens = tokenizer.encode(text);
      return { prompt: { id, text, tokens, place: id, columns: {} }, context: tokens };
    });
    const trajectories = await slots.rollout.sample(prompts, {
      ...host.context('rollout', slots.rollout),
      num_generations: 2,
      score: async (own) => Float64Array.from(own, (t) => t.text.length),
      scaffold: async () => prompts,
    });
    const ofSegment = (s: Segment): number[] => [...s.context, ...s.tokens, ...s.actions, ...s.logps, ...s.entropies, s.parent];
    return trajectories.flatMap(({ segments, text, prompt }) => [prompt.id, ...segments.flatMap(ofSegment), ...tokenizer.encode(text)]);
  }
  if (slot === 'phases') {
    const seen: number[] = [];
    for (host.step = 0; host.step < 10; host.step++) {
      for (const phase of slots.phases)
        host.settings = { ...host.settings, ...phase.at({ ...host.context('phases', phase), progress: host.step / 10 })?.settings };
      seen.push(
        ...Object.keys(recipeOf('grpo-sft-mix').settings)
          .map((name) => Number(host.settings[name]))
          .filter(Number.isFinite),
      );
    }
    return seen;
  }
  if (slot === 'aggregate') return Array.from(slots.aggregate.weights(batch.lengths, host.settings));
  if (slot === 'filter') return [...slots.filter.keep(batch, host.context('filter', slots.filter))];
  if (slot === 'reward') return (await slots.reward.score(batch.samples, host.context('reward', slots.reward))).map((s) => s.reward);
  if (slot === 'buffer')
    return (await slots.buffer.exchange(batch, host.context('buffer', slots.buffer))).map((s) => s.reward + s.trajectory.age);
  if (slot === 'update') return [await descent(slots.update, batch, host.context('update', slots.update))];
  throw new Error(`the suite cannot compare the slot ${slot}`);
}

/** Settings at which few tokens are enough to see a difference. */
const showing: Readonly<Record<string, Settings>> = {
  clip_cov: { clip_cov_lb: 0.01, clip_cov_ratio: 0.5 },
  'one-shot-rlvr': { shot_rule: 'first' },
  remix: { kl_lambda: 0.5 },
  'scaf-grpo': { scaf_exempt: 0 },
  rrm: { rrm_ask: '!' },
};

async function differences(method: RlMethod, limit: RlLimit, at: { readonly inside: boolean; readonly seed: number }): Promise<number> {
  const parent = recipeOf(method.parent as string);
  const own = recipeOf(specOf(method));
  const settings = at.inside ? limit.settings : (showing[method.id] ?? {});
  const inputs = at.inside ? limit.inputs : undefined;
  const parentSettings = at.inside ? (limit.parent_settings ?? {}) : {};
  const { slot } = limit;
  if (slot === 'surrogate' || slot === 'penalty' || slot === 'auxiliary') {
    const kind = at.inside ? inputs : `not ${limit.inputs}`;
    const a = await tokensOf(own, slot, kind, at.seed, settings);
    const b = await tokensOf(parent, slot, kind, at.seed, parentSettings);
    const slopes = a.slope.flatMap((row, i) => row.map((x, t) => Math.abs(x - (b.slope[i]?.[t] as number))));
    const values = a.losses.flatMap((row, i) => row.map((x, t) => Math.abs(x - (b.losses[i]?.[t] as number))));
    return Math.max(...slopes, ...(limit.compare === 'gradient' ? [] : values));
  }
  const world = worlds[limit.inputs ?? ''];
  const batch =
    (at.inside ? (world?.inside ?? batches[limit.inputs ?? '']) : (world?.elsewhere ?? elsewhere[limit.inputs ?? '']))?.() ?? mixedBatch();
  const [x, y] = [
    await hostValue(own, slot, batch, { max_completion_length: limit.slot === 'reward' ? 6 : 8, ...settings }, limit.inputs),
    await hostValue(parent, slot, batch, { max_completion_length: limit.slot === 'reward' ? 6 : 8, ...parentSettings }, limit.inputs),
  ];
  if (x.length !== y.length) return Number.POSITIVE_INFINITY;
  return Math.max(...x.map((v, i) => Math.abs(v - (y[i] as number))));
}

describe.each(all)('$id', (method: RlMethod) => {
  const recipe = recipeOf(specOf(method));

  it('states its family, knobs of settings that exist, a demonstration where it has a seed', () => {
    if (method.parent !== undefined) expect(Object.keys(rlMethods)).toContain(method.parent);
    expect(chainOf(method.id, rlMethods)[0]?.id).toBe('reinforce');
    expect(JSON.parse(JSON.stringify(method.defaults))).toEqual(method.defaults);
    for (const name of Object.keys(method.knobs ?? {})) expect(Object.keys(method.defaults)).toContain(name);
    expect(method.demo !== undefined).toBe(method.seed !== undefined);
    if (method.parent) expect(method.limits.length).toBeGreaterThan(0);
    for (const { inputs } of method.limits) if (inputs) expect(limitInputs).toContain(inputs);
  });

  it('sets only what a part of its recipe reads', () => {
    for (const name of Object.keys(method.defaults)) expect(Object.keys(recipe.settings)).toContain(name);
    for (const { settings } of method.limits)
      for (const name of Object.keys(settings)) expect(Object.keys(recipe.settings)).toContain(name);
  });

  it('makes a recipe of parts with names of their own', () => {
    const names = partsOf(recipe.slots).map(([slot, { name }]) => `${slot}/${name}`);
    expect(new Set(names).size).toBe(names.length);
  });

  it('has a finite surrogate and gradients at every token that trains, and none elsewhere', async () => {
    const given = tokenCase();
    const got = await tokensOf(recipe, 'surrogate', undefined, 11, {});
    for (const [b, row] of got.slope.entries())
      for (const [t, x] of row.entries()) {
        expect(Number.isFinite(x)).toBe(true);
        if (given.mask[b]?.[t] === 0) expect(Math.abs(x)).toBe(0);
      }
    const onPolicy = await tokensOf(recipe, 'surrogate', 'on policy', 11, {});
    expect(onPolicy.slope.flat().some((x) => Math.abs(x) > 1e-6)).toBe(true);
  });

  it('gives advantages that do not depend on the order of groups', async () => {
    const next = numbers(5);
    const specs: SampleSpec[] = [1, 0, 0.5, -1, 2].map((reward, i) => ({ group: i < 3 ? 'a' : 'b', reward, length: 2 + i }));
    const samples = specs.map((s) => sample(s, next));
    const { RolloutBatch: Batch } = await import('../../../src/train/rl/batch.js');
    const [forth, back] = [new Batch(samples), new Batch([...samples].reverse())];
    const at = async (batch: RolloutBatch): Promise<Map<unknown, number[]>> => {
      const values = await hostValue(recipe, 'advantage', batch, {});
      return new Map(batch.samples.map((s, n) => [s, values.slice(batch.span(n).start, batch.span(n).end)]));
    };
    const [x, y] = [await at(forth), await at(back)];
    for (const s of samples) for (const [j, v] of (x.get(s) as number[]).entries()) expect(y.get(s)?.[j]).toBeCloseTo(v, 9);
  });

  it.each(method.limits.map((l) => [`${l.slot} at ${JSON.stringify(l.settings)}${l.inputs ? `, ${l.inputs}` : ''}`, l] as const))(
    'equals its parent: %s, and differs elsewhere',
    async (_, limit) => {
      expect(await differences(method, limit, { inside: true, seed: 11 })).toBeLessThanOrEqual(limit.tolerance);
      expect(await differences(method, limit, { inside: false, seed: 11 })).toBeGreaterThan(1e-4);
    },
  );
});
