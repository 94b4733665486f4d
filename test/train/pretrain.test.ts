import { describe, expect, it } from 'vitest';
import { splitText } from '../../src/data/textCorpus.js';
import { type OptimizerMethod, optimizers } from '../../src/optim/transform/index.js';
import { type PretrainOptions, type PretrainTask, pretrain } from '../../src/train/pretrain.js';

const task: PretrainTask = {
  model: {
    vocab_size: 256,
    hidden_size: 16,
    num_hidden_layers: 1,
    num_attention_heads: 2,
    intermediate_size: 24,
    max_position_embeddings: 16,
  },
  max_steps: 60,
  per_device_train_batch_size: 4,
  warmup_ratio: 0.1,
  min_lr_ratio: 0,
  max_grad_norm: 1,
  logging_steps: 5,
  eval_steps: 20,
  eval_bytes: 256,
  eval_batch_size: 4,
};
// eight letters in a fixed cycle: the next byte is certain once the model has learnt the cycle
const corpus = splitText(
  'cycle',
  Uint8Array.from({ length: 4000 }, (_, i) => 97 + (i % 8)),
);
type Line = Readonly<Record<string, number | null>>;

async function train(id: string, change: Partial<PretrainOptions> = {}) {
  const optimizer = optimizers[id] as OptimizerMethod;
  const lines: Line[] = [];
  const settings = {
    ...optimizer.defaults,
    learning_rate: id === 'muon' ? 0.02 : 0.01,
    ...(id === 'muon' ? { adamw_learning_rate: 0.01 } : {}),
  };
  const result = await pretrain({ task, optimizer, settings, seed: 0, corpus, threads: 1, onMetrics: (l) => lines.push(l), ...change });
  return { result, lines };
}

describe('pretrain', () => {
  it.each(['adamw', 'muon'])('learns a certain text with %s', async (id) => {
    const { result, lines } = await train(id);
    expect(lines[0]?.loss).toBeGreaterThan(4);
    // guessing among the eight letters costs 3 bits
    expect(result['val/bpb']).toBeLessThan(1.5);
    expect(result.status).toBe('finished');
    expect(lines.at(-1)?.['val/bpb']).toBe(result['val/bpb']);
  });

  it('repeats bit for bit, and differs with another seed', async () => {
    const [a, b, c] = [await train('muon'), await train('muon'), await train('muon', { seed: 1 })];
    const losses = (r: typeof a) => r.lines.map((l) => l.loss);
    expect(losses(a)).toEqual(losses(b));
    expect(losses(a)).not.toEqual(losses(c));
  });

  it('gives all methods the same first loss for one seed: parameters and data are shared', async () => {
    const first = { task: { ...task, max_steps: 2, warmup_ratio: 0, logging_steps: 1 } };
    const [a, b] = [await train('adamw', first), await train('muon', first)];
    expect(a.lines[0]?.loss).toBe(b.lines[0]?.loss);
    expect(a.lines[1]?.loss).not.toBe(b.lines[1]?.loss);
  });

  it('logs the schedule, the norm and the tokens, and counts the cost', async () => {
    const { result, lines } = await train('adamw');
    expect(lines.map((l) => l.global_step)).toEqual([5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60, 60]);
    expect(lines[0]?.learning_rate).toBeCloseTo(0.01 * (5 / 6), 12);
    expect(lines[11]?.learning_rate).toBeCloseTo(0, 12);
    expect(lines[0]?.grad_norm).toBeGreaterThan(0);
    expect(lines.filter((l) => l['val/bpb'] !== undefined).map((l) => l.global_step)).toEqual([20, 40, 60]);
    expect(result.ledger.tokens_trained).toBe(60 * 4 * 16);
    expect(result.ledger.tokens_evaluated).toBe(2 * 256 + 384);
    const params = 256 * 16 + 16 + 16 * 48 + 16 * 16 + 16 + 16 * 48 + 24 * 16 + 16;
    const perToken = 6 * params + 12 * 16 * 16;
    expect(result.ledger.model_flops).toBe(perToken * (60 * 64) + (perToken / 3) * 896);
    expect(result.ledger.optimizer_flops).toBe(60 * 15 * params);
    expect(result.ledger.wall_seconds).toBeGreaterThan(result.ledger.train_seconds);
  });

  it('reports a diverged run instead of going on', async () => {
    const { result } = await train('adamw', {
      settings: { ...(optimizers.adamw as OptimizerMethod).defaults, learning_rate: 1e30 },
    });
    expect(result.status).toBe('diverged');
    expect(result['val/bpb']).toBeNull();
    expect(result.ledger.tokens_trained).toBeLessThan(60 * 64);
  });

  it('stops at once when it is aborted', async () => {
    const abort = new AbortController();
    const lines: Line[] = [];
    const onMetrics = (l: Line): void => {
      lines.push(l);
      abort.abort();
    };
    await expect(train('adamw', { signal: abort.signal, onMetrics })).rejects.toThrow(/abort/i);
    expect(lines.length).toBe(1);
  });
});
