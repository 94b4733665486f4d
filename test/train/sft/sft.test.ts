import { describe, expect, it } from 'vitest';
import type { Settings } from '../../../src/contracts/index.js';
import { type NDArray, type Tree, treeEntries } from '../../../src/tensor/index.js';
import { type SftMethod, sfts } from '../../../src/train/sft/index.js';
import { sft } from '../../../src/train/sft.js';
import { demonstrations } from '../support/examples.js';
import { expectExactResume, type Loop, optimizer, runLoop, schedule } from '../support/loops.js';
import { decoderParams } from '../support/lossRun.js';

const loop =
  (ids: readonly string[], rate = 0.01, change: Settings = {}): Loop =>
  (shared) =>
    sft({
      ...shared,
      recipe: {
        optimizer: optimizer(rate),
        schedule,
        losses: ids.map((id) => {
          const method = sfts[id] as SftMethod;
          const own = Object.fromEntries(Object.entries(change).filter(([name]) => Object.hasOwn(method.defaults, name)));
          return { method, settings: { ...method.defaults, ...own } };
        }),
      },
    });

describe('sft', () => {
  it.each([
    ['padded', undefined],
    ['packed', 2],
  ])('learns demonstrations by heart, %s, with the log that TRL writes', async (_, rows) => {
    const { result, lines } = await runLoop(loop(['sft']), demonstrations, { args: { max_steps: 40, logging_steps: 10 } }, rows);
    expect(result.status).toBe('finished');
    expect(result.metrics.eval_loss).toBeLessThan(0.5);
    expect(result.metrics.eval_mean_token_accuracy).toBeGreaterThan(0.8);
    expect(lines.map((l) => l.global_step)).toEqual([10, 20, 30, 40, 40]);
    for (const name of [
      'loss',
      'grad_norm',
      'learning_rate',
      'epoch',
      'num_tokens',
      'entropy',
      'mean_token_accuracy',
      'step_time',
      'tokens_per_second',
    ])
      expect(Object.keys(lines[0] ?? {}), name).toContain(name);
    expect(lines[3]?.epoch).toBeCloseTo(80 / 3, 6);
    expect(result.ledger.tokens_trained).toBe(40 * 2 * 8);
  });

  it('leaves the starting parameters as they were', async () => {
    const start = decoderParams(3);
    await runLoop(loop(['sft']), demonstrations, { start, args: { max_steps: 2 } });
    const untouched = treeEntries<NDArray>(decoderParams(3) as Tree<NDArray>);
    for (const [i, [path, x]] of treeEntries<NDArray>(start as Tree<NDArray>).entries())
      expect(x.toNumbers(), path).toEqual(untouched[i]?.[1].toNumbers());
  });

  it('measures plain cross-entropy whatever it trains', async () => {
    const evaluated = async (ids: readonly string[]): Promise<unknown> =>
      (await runLoop(loop(ids, 0), demonstrations, { args: { max_steps: 1 } })).result.metrics;
    expect(await evaluated(['asft', 'neftune'])).toEqual(await evaluated(['sft']));
  });

  it('adds the gradients of several batches up to that of one large batch', async () => {
    const of = async (size: number, parts: number): Promise<number[]> => {
      const { exampleSource } = await import('../../../src/data/examples/index.js');
      const { randomKey } = await import('../../../src/tensor/index.js');
      const data = exampleSource(demonstrations, { batch_size: size, context: 8, key: randomKey(9) });
      const args = { max_steps: 2, gradient_accumulation_steps: parts, logging_steps: 1 };
      const { result } = await runLoop(loop(['talr'], 0.01, { tau: 1 }), demonstrations, { data, args });
      return treeEntries<NDArray>(result.params as Tree<NDArray>).flatMap(([, x]) => x.toNumbers());
    };
    const [one, three] = [await of(3, 1), await of(1, 3)];
    one.forEach((x, i) => {
      expect(three[i]).toBeCloseTo(x, 4);
    });
  });

  it.each([
    ['sft', {}],
    ['psft', { refresh_steps: 2 }],
    ['ss-token+neftune', { history_decay: 0.5 }],
  ] as const)('resumes to the same bits: %s', async (ids, change) => {
    await expectExactResume(loop(ids.split('+'), 0.01, change), demonstrations);
  });
});
