import { describe, expect, it } from 'vitest';
import type { Settings } from '../../../src/contracts/index.js';
import { type PreferMethod, preferences } from '../../../src/train/prefer/index.js';
import { prefer, withReferenceLogps } from '../../../src/train/prefer.js';
import { pairs } from '../support/examples.js';
import { expectExactResume, type Line, type Loop, optimizer, runLoop, schedule } from '../support/loops.js';
import { decoderParams, model } from '../support/lossRun.js';

const loop =
  (id: string, rate = 0.01, change: Settings = {}): Loop =>
  (shared) => {
    const method = preferences[id] as PreferMethod;
    return prefer({
      ...shared,
      recipe: { optimizer: optimizer(rate), schedule, losses: [{ method, settings: { ...method.defaults, ...change } }] },
    });
  };

describe('prefer', () => {
  it('starts at log 2 with rewards of 0, and comes to prefer what is chosen', async () => {
    const { result, lines } = await runLoop(loop('dpo'), pairs, { args: { max_steps: 30, logging_steps: 1 } });
    expect(lines[0]?.loss).toBeCloseTo(Math.log(2), 5);
    expect(lines[0]?.['rewards/margins']).toBeCloseTo(0, 5);
    expect(result.metrics['eval_rewards/accuracies']).toBe(1);
    expect(result.metrics['eval_rewards/margins']).toBeGreaterThan(0.5);
    for (const name of ['rewards/chosen', 'rewards/rejected', 'rewards/accuracies', 'rewards/margins', 'logps/chosen', 'logps/rejected'])
      expect(Object.keys(lines[0] ?? {}), name).toContain(name);
  });

  it('reads the log-probabilities of the reference from the data as well as from the model', async () => {
    const with_ = await withReferenceLogps(pairs, model, decoderParams(3), { batch_size: 3, context: 8, threads: 1 });
    const [a, b] = [await runLoop(loop('dpo'), pairs), await runLoop(loop('dpo'), with_, { evaluation: [] })];
    const losses = (lines: readonly Line[]): number[] => lines.flatMap(({ loss }) => (typeof loss === 'number' ? [loss] : []));
    expect(losses(a.lines).length).toBe(6);
    for (const [i, loss] of losses(a.lines).entries()) expect(losses(b.lines)[i]).toBeCloseTo(loss, 5);
    expect(b.result.metrics.eval_loss).toBeUndefined();
  });

  it('measures losses with parameters of single pairs without them', async () => {
    const [aux, plain] = [await runLoop(loop('aux-dpo', 0), pairs), await runLoop(loop('dpo', 0), pairs)];
    expect(aux.result.metrics.eval_loss).toBe(plain.result.metrics.eval_loss);
    expect(Object.keys(aux.result.own)).toEqual(['delta']);
  });

  it('learns from single responses', async () => {
    const { result } = await runLoop(loop('kto', 0.01, { beta: 0.3 }), pairs, { args: { max_steps: 30 } });
    expect(result.metrics['eval_rewards/margins']).toBeGreaterThan(0.3);
    expect(result.metrics.eval_kl).toBeGreaterThanOrEqual(0);
  });

  it.each(['dpo', 'ti-dpo', 'aux-dpo', 'hpl'])('resumes to the same bits: %s', async (id) => {
    await expectExactResume(loop(id), pairs);
  });
});
