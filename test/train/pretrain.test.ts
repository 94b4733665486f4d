import { describe, expect, it } from 'vitest';
import { randomWindows, validationBatches } from '../../src/data/stream/windows.js';
import { memoryTokens } from '../../src/data/tokens/tokenStore.js';
import { type DecoderConfig, decoderModel } from '../../src/models/index.js';
import { type ScheduleMethod, schedules } from '../../src/optim/schedule/index.js';
import { type OptimizerMethod, optimizers } from '../../src/optim/transform/index.js';
import { foldIn, type NDArray, randomKey, type Tree, treeLeaves } from '../../src/tensor/index.js';
import { type ObjectiveMethod, objectives } from '../../src/train/objective/index.js';
import { type PretrainOptions, pretrain } from '../../src/train/pretrain.js';

const config: DecoderConfig = {
  vocab_size: 256,
  hidden_size: 16,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  intermediate_size: 24,
  max_position_embeddings: 16,
};
const args = { max_steps: 60, warmup_ratio: 0.1, max_grad_norm: 1, logging_steps: 5, eval_steps: 20 };
// eight letters in a fixed cycle: the next byte is certain once the model has learnt the cycle
const text = Uint8Array.from({ length: 4000 }, (_, i) => 97 + (i % 8));
const [train, validation] = [memoryTokens(text.subarray(0, 3600)), text.subarray(3600)];
const windows = (seed: number, batch_size = 4) =>
  randomWindows(train, { key: foldIn(randomKey(seed), 1), batch_size, context: config.max_position_embeddings });
type Line = Readonly<Record<string, number | null>>;

/** A method with its defaults and some settings. */
function chosen<M extends OptimizerMethod | ScheduleMethod | ObjectiveMethod>(table: Readonly<Record<string, M>>, id: string, change = {}) {
  const method = table[id] as M;
  return { method, settings: { ...method.defaults, ...change } };
}
const usual = (id: string, change = {}) => ({
  optimizer: chosen(optimizers, id, {
    learning_rate: id === 'muon' ? 0.02 : 0.01,
    ...(id === 'muon' ? { adamw_learning_rate: 0.01 } : {}),
    ...change,
  }),
  schedule: chosen(schedules, 'cosine', { min_lr_ratio: 0 }),
  objective: chosen(objectives, 'next-token'),
});

async function run(id: string, change: Partial<PretrainOptions> = {}) {
  const lines: Line[] = [];
  const seed = change.seed ?? 0;
  const result = await pretrain({
    model: decoderModel(config),
    recipe: usual(id),
    args,
    data: windows(seed),
    evaluation: [{ name: 'val', metric: 'bpb', batches: validationBatches(validation, 4, 16), quick: 4 }],
    seed,
    threads: 1,
    onMetrics: (l) => lines.push(l),
    ...change,
  });
  return { result, lines };
}

describe('pretrain', () => {
  it.each(['adamw', 'muon'])('learns a certain text with %s', async (id) => {
    const { result, lines } = await run(id);
    expect(lines[0]?.loss).toBeGreaterThan(4);
    // guessing among the eight letters costs 3 bits
    expect(result.metrics['val/bpb']).toBeLessThan(1.5);
    expect(result.status).toBe('finished');
    expect(lines.at(-1)?.['val/bpb']).toBe(result.metrics['val/bpb']);
  });

  it('repeats bit for bit, and differs with another seed', async () => {
    const [a, b, c] = [await run('muon'), await run('muon'), await run('muon', { seed: 1 })];
    const losses = (r: typeof a) => r.lines.map((l) => l.loss);
    expect(losses(a)).toEqual(losses(b));
    expect(losses(a)).not.toEqual(losses(c));
  });

  it('gives all methods the same first loss for one seed: parameters and data are shared', async () => {
    const first = { args: { ...args, max_steps: 2, warmup_ratio: 0, logging_steps: 1 } };
    const [a, b] = [await run('adamw', first), await run('muon', first)];
    expect(a.lines[0]?.loss).toBe(b.lines[0]?.loss);
    expect(a.lines[1]?.loss).not.toBe(b.lines[1]?.loss);
  });

  it('ends with the merged checkpoints of the schedule, without a checkpoint store too', async () => {
    const ending = async (max_steps: number, id: string, change = {}) => {
      const recipe = { ...usual('adamw'), schedule: chosen(schedules, id, change) };
      const { result } = await run('adamw', { recipe, args: { max_steps, warmup_steps: 1 } });
      return treeLeaves<NDArray>(result.params as Tree<NDArray>).map((x) => x.toNumbers());
    };
    // a linear decay is the plain mean of the checkpoints after 2, 4 and 6 steps
    const merged = await ending(6, 'wsm', { merge_ratio: 4 / 6, num_checkpoints: 3, decay_type: 'linear' });
    const checkpoints = [await ending(2, 'wso'), await ending(4, 'wso'), await ending(6, 'wso')];
    merged.forEach((leaf, k) => {
      leaf.forEach((x, i) => {
        expect(x).toBeCloseTo(checkpoints.reduce((n, c) => n + (c[k]?.[i] as number), 0) / 3, 6);
      });
    });
    expect(merged).not.toEqual(checkpoints[2]);
  });

  it('logs the schedule, the norm and the tokens, and counts the cost', async () => {
    const { result, lines } = await run('adamw');
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
    const { result } = await run('adamw', {
      recipe: usual('adamw', { learning_rate: 1e30 }),
    });
    expect(result.status).toBe('diverged');
    expect(result.metrics).toEqual({});
    expect(result.ledger.tokens_trained).toBeLessThan(60 * 64);
  });

  it('stops at once when it is aborted', async () => {
    const abort = new AbortController();
    const lines: Line[] = [];
    const onMetrics = (l: Line): void => {
      lines.push(l);
      abort.abort();
    };
    await expect(run('adamw', { signal: abort.signal, onMetrics })).rejects.toThrow(/abort/i);
    expect(lines.length).toBe(1);
  });
});
