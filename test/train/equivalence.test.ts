import { describe, expect, it } from 'vitest';
import { type Batch, type BatchSource, batchBuffers, toBatch } from '../../src/data/stream/batch.js';
import { packedDocuments } from '../../src/data/stream/packed.js';
import { memoryTokens } from '../../src/data/tokens/tokenStore.js';
import { LmScorer } from '../../src/evaluate/languageModel.js';
import { initModel } from '../../src/models/index.js';
import { schedules } from '../../src/optim/schedule/index.js';
import { type NDArray, randomKey } from '../../src/tensor/index.js';
import { chosen, distance, ids, recipeWith, startValues, tinyModel, train, valuesOf } from './support.js';

const [rows, context] = [6, 16];

/** A source that gives the same rows in batches of any size; `count` says how many targets of a row count. */
function fixedRows(batch_size: number, count: (row: number) => number = () => context): BatchSource {
  let at = 0;
  const tokens = ids(rows * context + 1);
  return {
    batch_size,
    context,
    tokensPerBatch: batch_size * context,
    packed: false,
    fingerprint: 'fixed',
    get epoch() {
      return at / rows;
    },
    next() {
      const buffers = batchBuffers(batch_size, context, false);
      for (let b = 0; b < batch_size; b++) {
        const row = at++ % rows;
        for (let t = 0; t < context; t++) {
          buffers.inputs[b * context + t] = tokens[row * context + t] as number;
          buffers.targets[b * context + t] = t < count(row) ? (tokens[row * context + t + 1] as number) : -1;
        }
      }
      return toBatch(buffers, batch_size, context);
    },
    cursor: () => at,
    seek: () => undefined,
  };
}

describe('gradient accumulation', () => {
  const args = { max_steps: 2, logging_steps: 1, max_grad_norm: 0.5 };
  const recipe = recipeWith({ optimizer: 'adamw', settings: { learning_rate: 0.01 } });

  it.each([
    ['whole rows', undefined],
    ['parts that count different numbers of targets, one of them none', (row: number) => [16, 3, 0, 0, 9, 1][row] as number],
  ])('of 3 parts equals one batch of 3 times the size: %s', async (_, count) => {
    const whole = await train({ recipe, args, data: fixedRows(6, count) });
    const parts = await train({ recipe, args: { ...args, gradient_accumulation_steps: 3 }, data: fixedRows(2, count) });
    expect(parts.lines[0]?.loss).toBeCloseTo(whole.lines[0]?.loss as number, 5);
    expect(parts.lines[0]?.grad_norm).toBeCloseTo(whole.lines[0]?.grad_norm as number, 5);
    expect(parts.lines[1]?.num_tokens).toBe(whole.lines[1]?.num_tokens);
    expect(distance(valuesOf(parts.result.params), valuesOf(whole.result.params))).toBeLessThan(2e-6);
    expect(distance(valuesOf(whole.result.params), startValues(0))).toBeGreaterThan(0.005);
  });

  it('differs from a plain mean of the parts where their counts differ', async () => {
    const count = (row: number): number => (row < 2 ? 16 : 1);
    const parts = await train({ recipe, args: { ...args, gradient_accumulation_steps: 3 }, data: fixedRows(2, count) });
    const losses = await Promise.all(
      [0, 2, 4].map(async (from) => {
        const one = await train({ recipe, args: { ...args, max_steps: 1 }, data: fixedRows(2, (row) => count((row + from) % rows)) });
        return one.lines[0]?.loss as number;
      }),
    );
    expect(Math.abs((parts.lines[0]?.loss as number) - losses.reduce((a, b) => a + b, 0) / 3)).toBeGreaterThan(1e-3);
  });

  it('is refused where the optimizer evaluates the loss itself', async () => {
    const run = train({ recipe: recipeWith({ optimizer: 'mezo' }), args: { max_steps: 1, gradient_accumulation_steps: 2 } });
    await expect(run).rejects.toThrow(/mezo evaluates the loss itself: use gradient_accumulation_steps 1/);
  });
});

describe('packed documents', () => {
  it('have the loss of their documents one by one', async () => {
    const lengths = [9, 16, 5, 12, 3, 7];
    const ends = lengths.flatMap((_, i) => {
      const end = lengths.slice(0, i + 1).reduce((a, b) => a + b, 0);
      return [end, end];
    });
    const total = lengths.reduce((a, b) => a + b, 0);
    const tokens = ids(total);
    const store = memoryTokens(tokens, { vocab_size: 32, ends: Float64Array.from(ends) });
    const packed = packedDocuments(store, { key: randomKey(1), batch_size: 4, context, packing: 'best-fit' }).next() as Batch;
    expect(Math.max(...(packed.segment_ids as NDArray).toNumbers())).toBeGreaterThan(1);
    const separate = lengths.map((length, i) => {
      const from = lengths.slice(0, i).reduce((a, b) => a + b, 0);
      const buffers = batchBuffers(1, length, false);
      buffers.inputs.set(tokens.subarray(from, from + length));
      buffers.targets.set([...tokens.subarray(from + 1, from + length), -1]);
      return toBatch(buffers, 1, length);
    });
    const params = initModel(tinyModel, 5);
    const scorer = new LmScorer(tinyModel, { threads: 1 });
    const score = (batches: readonly Batch[]) => scorer.score(params, { name: 'x', metric: 'bpb', batches });
    const [together, alone] = [await score([packed]), await score(separate)];
    scorer.dispose();
    expect(together.counted).toBe(total - lengths.length);
    expect(alone.counted).toBe(together.counted);
    expect(together.nats).toBeCloseTo(alone.nats, 3);
    // without their segments the rows are other texts
    const { segment_ids: _, positions: __, ...bare } = packed;
    const blind = new LmScorer(tinyModel, { threads: 1 });
    expect(Math.abs((await blind.score(params, { name: 'x', metric: 'bpb', batches: [bare] })).nats - alone.nats)).toBeGreaterThan(0.01);
    blind.dispose();
  });
});

describe('clipping and averages', () => {
  const sgd = (learning_rate: number) => recipeWith({ optimizer: 'sgd', settings: { learning_rate, momentum: 0 } });

  it('scales the gradient to the norm: the step is shorter by just that factor', async () => {
    const args = { max_steps: 1, logging_steps: 1 };
    const free = await train({ recipe: sgd(0.1), args: { ...args, max_grad_norm: 0 } });
    const norm = free.lines[0]?.grad_norm as number;
    const clipped = await train({ recipe: sgd(0.1), args: { ...args, max_grad_norm: norm / 4 } });
    const loose = await train({ recipe: sgd(0.1), args: { ...args, max_grad_norm: norm * 4 } });
    // the log has the norm before clipping
    expect(clipped.lines[0]?.grad_norm).toBeCloseTo(norm, 6);
    const start = startValues(0);
    const [a, b] = [valuesOf(free.result.params), valuesOf(clipped.result.params)];
    const expected = Object.fromEntries(
      Object.entries(start).map(([path, p]) => [path, p.map((x, i) => x + ((a[path]?.[i] as number) - x) / 4)]),
    );
    expect(distance(b, expected)).toBeLessThan(1e-6);
    expect(distance(valuesOf(loose.result.params), a)).toBeLessThan(1e-7);
    expect(distance(a, b)).toBeGreaterThan(1e-3);
  });

  it('keeps the moving average that a scalar computation gives', async () => {
    const decay = 0.8;
    const at = async (max_steps: number) =>
      valuesOf((await train({ recipe: sgd(0.1), args: { max_steps, max_grad_norm: 0 } })).result.params);
    const { result } = await train({ recipe: sgd(0.1), args: { max_steps: 3, max_grad_norm: 0, ema_decay: decay } });
    const steps = [await at(1), await at(2), await at(3)];
    const expected = Object.fromEntries(
      Object.entries(startValues(0)).map(([path, p]) => [
        path,
        p.map((x, i) => steps.reduce((e, step) => decay * e + (1 - decay) * (step[path]?.[i] as number), x)),
      ]),
    );
    expect(distance(valuesOf(result.ema), expected)).toBeLessThan(1e-6);
    expect(distance(valuesOf(result.ema), steps[2] as Record<string, number[]>)).toBeGreaterThan(1e-4);
  });
});

describe('the learning rate in the log', () => {
  it.each(Object.keys(schedules))('is that of the schedule %s', async (id) => {
    const schedule = chosen(schedules, id);
    const args = { max_steps: 6, warmup_steps: 2, logging_steps: 1, max_grad_norm: 0 };
    const { lines } = await train({ recipe: { ...recipeWith({ settings: { learning_rate: 0.25 } }), schedule }, args });
    const factor = schedule.method.factor(schedule.settings, { totalSteps: 6, warmupSteps: 2 });
    expect(lines.map((line) => line.learning_rate)).toEqual([0, 1, 2, 3, 4, 5].map((step) => 0.25 * factor(step)));
    expect(lines[0]?.learning_rate).toBe(0.125);
    expect(lines[1]?.learning_rate).toBe(0.25);
  });
});
