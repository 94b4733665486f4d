import { describe, expect, it } from 'vitest';
import { schedules } from '../../../src/optim/schedule/index.js';
import { optimizers } from '../../../src/optim/transform/index.js';
import { randomKey } from '../../../src/tensor/index.js';
import type { MetricsLine } from '../../../src/train/pretrain.js';
import { RolloutBatch } from '../../../src/train/rl/batch.js';
import type { NamedReward } from '../../../src/train/rl/contract.js';
import { groupMean } from '../../../src/train/rl/parts/advantage.js';
import { seqMeanTokenMean } from '../../../src/train/rl/parts/aggregate.js';
import { demonstrationLoss, demonstrations, muSchedule, restOf, tokenMean, twoStages } from '../../../src/train/rl/parts/demonstrations.js';
import { entropyScaledSuccesses, entropyWeightedImitation, withDemonstrations } from '../../../src/train/rl/parts/entropyImitation.js';
import { noBuffer } from '../../../src/train/rl/parts/sampling.js';
import { Policy } from '../../../src/train/rl/policy.js';
import { Stopwatch } from '../../../src/train/rl/stopwatch.js';
import { trainRl } from '../../../src/train/rl.js';
import { runTokenLoss, tokenCase } from './graph.js';
import { hostOf, mixedBatch, recipeOf, tinyPolicy, tokenizer } from './support.js';

const withColumns = (batch: RolloutBatch, columns: Readonly<Record<string, string>>): RolloutBatch =>
  new RolloutBatch(batch.samples.map((s) => ({ ...s, trajectory: { ...s.trajectory, prompt: { ...s.trajectory.prompt, columns } } })));

const contextAt = (progress: number, settings: Readonly<Record<string, number>>) => {
  const host = hostOf(recipeOf('grpo'), [], settings);
  return { ...host.context<never>('phases', muSchedule as never), progress };
};

describe('demonstrations of a batch', () => {
  it('are the column demonstration before the column solution, with eos, once for each problem', () => {
    const host = hostOf(recipeOf('grpo-sft-mix'));
    const context = host.context('auxiliary', demonstrationLoss);
    const [shown, ...others] = demonstrations(withColumns(mixedBatch(), { demonstration: '1+1', solution: '2' }), context);
    expect(others).toEqual([]);
    expect([...(shown?.tokens ?? [])]).toEqual([...tokenizer.encode('1+1'), tokenizer.eos_token_id]);
    expect([...(shown?.context ?? [])]).toEqual([5, 6]);
    const [plain] = demonstrations(withColumns(mixedBatch(), { solution: '2' }), context);
    expect([...(plain?.tokens ?? [])]).toEqual([...tokenizer.encode('2'), tokenizer.eos_token_id]);
    expect(demonstrations(mixedBatch(), context)).toEqual([]);
    const weights = tokenMean([1, 3].map((n) => ({ context: Int32Array.of(1), tokens: new Int32Array(n) }))).flatMap((s) =>
      Array.from(s.weights),
    );
    expect(weights).toEqual([0.25, 0.25, 0.25, 0.25]);
  });
});

describe('CHORD', () => {
  it('weights the gradient of a token by mu p (1 - p), held fixed', async () => {
    const given = tokenCase();
    const { slope, losses } = await runTokenLoss((c) => demonstrationLoss.loss?.(c) ?? { loss: c.mask }, given, {
      mu: 0.3,
      sft_token_weight: 'p(1-p)',
    });
    const plain = await runTokenLoss((c) => demonstrationLoss.loss?.(c) ?? { loss: c.mask }, given, { mu: 0.3, sft_token_weight: 'none' });
    for (const [b, row] of given.mask.entries())
      for (const [t, m] of row.entries()) {
        if (m === 0) continue;
        const logp = given.logp[b]?.[t] as number;
        const p = Math.exp(logp);
        const w = given.weight[b]?.[t] as number;
        expect(losses[b]?.[t]).toBeCloseTo(-0.3 * p * (1 - p) * logp, 6);
        expect(slope[b]?.[t]).toBeCloseTo(-w * 0.3 * p * (1 - p), 6);
        expect(plain.slope[b]?.[t]).toBeCloseTo(-w * 0.3, 6);
      }
  });

  it('mu rises to its peak, falls along a cosine and stays; two stages are its step-shaped limit', () => {
    const settings = { mu_peak: 0.9, mu_valley: 0.1, mu_warmup: 0.2, mu_decay: 0.4 };
    const at = (progress: number): number => Number(muSchedule.at(contextAt(progress, settings))?.settings?.mu);
    expect(at(0)).toBe(0);
    expect(at(0.1)).toBeCloseTo(0.45, 12);
    expect(at(0.2)).toBeCloseTo(0.9, 12);
    expect(at(0.3)).toBeCloseTo(0.1 + 0.8 * Math.cos(Math.PI / 8) ** 2, 12);
    expect(at(0.4)).toBeCloseTo(0.5, 12);
    for (const late of [0.6, 0.8, 1]) expect(at(late)).toBeCloseTo(0.1, 12);
    const stages = [0, 0.19, 0.2, 0.9].map((p) => twoStages.at(contextAt(p, { sft_share: 0.2 }))?.settings?.mu);
    expect(stages).toEqual([1, 1, 0, 0]);
  });

  it('leaves 1 - mu to the rest of the loss', () => {
    const lengths = Float64Array.of(2, 5);
    const [a, b] = restOf(seqMeanTokenMean).weights(lengths, { mu: 0.25 });
    expect(a).toBeCloseTo(0.75 / 4, 12);
    expect(b).toBeCloseTo(0.75 / 10, 12);
  });
});

describe('SRFT', () => {
  it('adds each problem’s demonstration to its groups, with its own reward and the ratio pi / 1', async () => {
    const reward: NamedReward = { name: 'r', score: (_, completions) => completions.map((c) => (c === '7' ? 1 : 0.25)) };
    const batch = withColumns(mixedBatch(), { demonstration: '7' });
    const part = withDemonstrations(noBuffer);
    const host = hostOf(recipeOf('srft'), [reward]);
    const all = new RolloutBatch(await part.exchange(batch, host.context('buffer', part)));
    expect(all.size).toBe(batch.size + batch.groups);
    for (const [n, s] of all.samples.entries()) {
      if (s.trajectory.notes.demonstration !== true) continue;
      expect([s.reward, s.trajectory.text]).toEqual([1, '7']);
      const { start, end } = all.span(n);
      expect([...all.old_logp.subarray(start, end)]).toEqual([0, 0]);
    }
    // credit: a plain loop over the widened groups
    const credit = entropyScaledSuccesses(groupMean);
    const out = credit.compute(all, hostOf(recipeOf('srft')).context('advantage', credit));
    for (let g = 0; g < all.groups; g++) {
      const { start, end, size } = all.group(g);
      const mean = all.rewards.subarray(start, end).reduce((a, b) => a + b, 0) / size;
      for (let n = start; n < end; n++) {
        const A = (all.rewards[n] as number) - mean;
        const shown = all.samples[n]?.trajectory.notes.demonstration === true;
        for (let k = all.span(n).start; k < all.span(n).end; k++)
          expect(out[k]).toBeCloseTo(A > 0 && !shown ? 0.1 * Math.exp(all.entropy[k] as number) * A : A, 12);
      }
    }
  });

  it('imitates with 0.5 exp(-H), held fixed', async () => {
    const given = tokenCase();
    const { losses, slope } = await runTokenLoss((c) => entropyWeightedImitation.loss?.(c) ?? { loss: c.mask }, given, {
      sft_weight: 0.5,
      entropy_scale: 1,
    });
    for (const [b, row] of given.mask.entries())
      for (const [t, m] of row.entries()) {
        if (m === 0) continue;
        const logp = given.logp[b]?.[t] as number;
        // the case's policy has entropy -log p
        expect(losses[b]?.[t]).toBeCloseTo(-0.5 * Math.exp(logp) * logp, 6);
        expect(slope[b]?.[t]).toBeCloseTo(-(given.weight[b]?.[t] as number) * 0.5 * Math.exp(logp), 6);
      }
  });
});

describe('in the loop', () => {
  const { model, params } = tinyPolicy(1);
  const digits: NamedReward = { name: 'seven', score: (_, completions) => completions.map((c) => (c.startsWith('7') ? 1 : 0)) };
  const run = async (spec: string, steps: number, learning_rate = 0.02, start = params) => {
    const lines: MetricsLine[] = [];
    const [adam, constant] = [optimizers.adam, schedules.constant];
    if (!adam || !constant) throw new Error('no optimizer');
    const result = await trainRl({
      model,
      start,
      tokenizer,
      recipe: recipeOf(spec, {
        prompts_per_step: 2,
        num_generations: 4,
        max_completion_length: 2,
        ...(spec === 'sft-only' ? {} : { beta: 0 }),
      }),
      optimizer: { method: adam, settings: { ...adam.defaults, learning_rate } },
      schedule: { method: constant, settings: {} },
      args: { max_steps: steps },
      data: ['a', 'b'].map((prompt) => ({ prompt, solution: '7' })),
      rewards: [digits],
      seed: 1,
      threads: 1,
      onMetrics: (line) => lines.push(line),
    });
    return { ...result, lines };
  };

  /** Cross-entropy of the demonstrations, from a step of learning rate 0. */
  const loss = async (start: typeof params): Promise<number> => (await run('sft-only', 1, 0, start)).lines[0]?.loss as number;

  it('the loss of sft-only is the mean of -log pi over the tokens of the demonstrations', async () => {
    const recipe = recipeOf('grpo');
    const policy = new Policy({
      model,
      tokenizer,
      view: recipe.slots.policyView,
      eos: new Set([2]),
      watch: new Stopwatch(),
      threads: 1,
      settings: () => recipe.settings,
      params: () => params,
      reference: () => undefined,
      key: () => randomKey(1),
      generated: () => undefined,
      scored: () => undefined,
    });
    const tokens = Int32Array.from([...tokenizer.encode('7'), 2]);
    const logps = await policy.logps(['a', 'b'].map((prompt) => ({ context: tokenizer.encode(prompt), tokens })));
    policy.dispose();
    const mean = logps.flatMap((x) => [...x]).reduce((a, b) => a + b, 0) / 4;
    expect(await loss(params)).toBeCloseTo(-mean, 4);
  });

  it.each(['sft-only', 'chord', 'srft', 'sft-then-grpo', 'grpo-sft-mix'])(
    '%s makes the demonstrations more likely than rewards alone do',
    async (spec) => {
      const [own, grpo] = [await run(spec, 8), await run('grpo', 8)];
      expect(own.status).toBe('finished');
      expect(await loss(own.params)).toBeLessThan((await loss(grpo.params)) - 0.05);
    },
    60_000,
  );
});
