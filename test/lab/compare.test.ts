import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compare } from '../../src/lab/compare.js';
import { summariseRows } from '../../src/lab/rows.js';
import { hashOf, type RunRecord } from '../../src/lab/runStore.js';
import { type RunEvent, recipeFor } from '../../src/lab/runs.js';
import { type Testbed, testbeds } from '../../src/lab/testbeds/index.js';
import { tune } from '../../src/lab/tune.js';

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'vitro-compare-'));
});
afterAll(() => rm(root, { recursive: true, force: true }));

const base = { methods: ['adamw', 'muon'], testbed: 'smoke', seeds: 2, parallel: 2 };

describe('compare', () => {
  it('trains all pairs, writes their folders and sums them up', async () => {
    const out = join(root, 'all');
    const events: RunEvent[] = [];
    const summary = await compare({ ...base, out }, { onEvent: (e) => events.push(e) });
    expect(events[0]).toMatchObject({ type: 'start', runs: 4, reused: 0 });
    expect(events.filter((e) => e.type === 'end').length).toBe(4);
    expect(summary.rows.map((r) => r.method)).toEqual(['adamw', 'muon']);
    expect(summary.rows[0]).toMatchObject({ difference: null, verdict: null, tokens: 20 * 2 * 64 });
    const [a, b] = summary.rows.map((r) => r.values as number[]) as [number[], number[]];
    expect(summary.rows[1]?.difference?.mean).toBeCloseTo(
      ((b[0] as number) - (a[0] as number) + (b[1] as number) - (a[1] as number)) / 2,
      12,
    );

    const folders = (await readdir(out)).filter((f) => !/^(summary.json|report.html)$/.test(f)).sort();
    expect(folders.map((f) => f.replace(/-[0-9a-f]{10}$/, ''))).toEqual(['adamw-seed0', 'adamw-seed1', 'muon-seed0', 'muon-seed1']);
    const record = JSON.parse(await readFile(join(out, folders[3] as string, 'run.json'), 'utf8')) as RunRecord;
    expect(record).toMatchObject({ format: 2, method: 'muon', seed: 1, status: 'finished', threads: 1 });
    expect(record.result['val/bpb']).toBe(b[1]);
    const lines = (await readFile(join(out, folders[3] as string, 'metrics.jsonl'), 'utf8')).trim().split('\n');
    expect(JSON.parse(lines.at(-1) as string)['val/bpb']).toBe(b[1]);
  });

  it('takes finished runs over: the same command does nothing, a further seed does what is missing, --fresh does all', async () => {
    const out = join(root, 'all');
    const reused = async (change: object): Promise<number> => (await compare({ ...base, out, ...change })).reused_runs;
    expect(await reused({})).toBe(4);
    expect(await reused({ seeds: 3 })).toBe(4);
    expect(await reused({ fresh: true, seeds: 1 })).toBe(0);
  });

  it('does a run again whose record is missing, unfinished or of other settings', async () => {
    const out = join(root, 'all');
    const [folder] = (await readdir(out)).filter((f) => f.startsWith('adamw-seed0'));
    const path = join(out, folder as string, 'run.json');
    const record = JSON.parse(await readFile(path, 'utf8')) as RunRecord;
    await writeFile(path, JSON.stringify({ ...record, hash: 'other' }));
    expect((await compare({ ...base, seeds: 1, out })).reused_runs).toBe(1);
  });

  it('keeps finished runs when it is stopped, and goes on with the rest', async () => {
    const out = join(root, 'stopped');
    const abort = new AbortController();
    const onEvent = (e: RunEvent): void => {
      if (e.type === 'end') abort.abort();
    };
    await expect(compare({ ...base, out, parallel: 1 }, { onEvent, signal: abort.signal })).rejects.toThrow(/abort/i);
    const again = await compare({ ...base, out, parallel: 1 });
    expect(again.reused_runs).toBe(1);
    const straight = await compare({ ...base, out: join(root, 'all') });
    expect(again.rows.map((r) => r.values)).toEqual(straight.rows.map((r) => r.values));
  });

  it.each([
    [{ methods: ['adamw', 'muno'] }, 'did you mean "muon"'],
    [{ testbed: 'smok' }, 'did you mean "smoke"'],
    [{ methods: ['adamw', 'adamw'] }, 'named twice'],
    [{ methods: [] }, 'at least one method'],
    [{ methods: ['adamw', 'adamw+muon'] }, 'adamw and muon clash'],
    [{ methods: ['top-k'] }, 'does not use'],
    [{ set: ['optimizer.learning_rat=1'] }, 'did you mean "learning_rate"'],
    [{ set: ['optimiser.learning_rate=1'] }, 'did you mean "optimizer"'],
    [{ set: ['learning_rate=1'] }, 'SLOT.SETTING=VALUE'],
    [{ testbed: 'bytes' }, 'needs an argument'],
    [{ testbed: 'smoke:x' }, 'takes no argument'],
    [{ testbed: 'wikitext:/nowhere' }, 'no such folder'],
    [{ seeds: 0 }, '--seeds must be'],
  ])('refuses %o', async (change, message) => {
    await expect(compare({ ...base, out: join(root, 'none'), ...change })).rejects.toThrow(message);
  });
});

describe('summariseRows', () => {
  const testbed = { ...testbeds.smoke, margin: 0.02 } as Testbed;
  const record = (method: string, seed: number, value: number | null) =>
    ({
      method,
      seed,
      recipe: {},
      result: value === null ? {} : { 'val/bpb': value },
      ledger: { tokens_trained: 10, model_flops: 5, optimizer_flops: 1, train_seconds: 2 },
    }) as unknown as RunRecord;
  const of = (method: string, values: (number | null)[]) => values.map((v, i) => record(method, i, v));

  it('pairs by seed and leaves diverged runs out of both sides', () => {
    const [first, second] = summariseRows(testbed, ['adamw', 'muon'], {
      adamw: of('adamw', [3, 3.2, null, 3.1]),
      muon: of('muon', [2.9, 3.1, 2.5, 3.0]),
    });
    expect(first).toMatchObject({ diverged: 1, estimate: { n: 3 } });
    expect(second?.difference?.n).toBe(3);
    expect(second?.difference?.mean).toBeCloseTo(-0.1, 12);
    expect(second?.verdict).toBe('gain');
    expect(second?.flops).toBe(6);
  });

  it('judges by p-values corrected for the number of methods', () => {
    const values = { adamw: [3, 3.2, 3.1], muon: [2.9, 3.06, 3.02], adam: [2.9, 3.06, 3.02] };
    const runs = Object.fromEntries(Object.entries(values).map(([id, v]) => [id, of(id, v)]));
    const alone = summariseRows(testbed, ['adamw', 'muon'], runs)[1];
    const among = summariseRows(testbed, ['adamw', 'muon', 'adam'], runs)[1];
    expect(alone?.p_holm).toBeLessThan(0.05);
    expect(among?.p_holm).toBeCloseTo(2 * (alone?.p_holm as number), 12);
  });

  it('has no estimate where every run diverged', () => {
    const [, row] = summariseRows(testbed, ['adamw', 'muon'], { adamw: of('adamw', [3, 3]), muon: of('muon', [null, null]) });
    expect(row).toMatchObject({ estimate: null, difference: null, verdict: null, diverged: 2 });
  });
});

describe('tuning', () => {
  it('has the same number of candidates for every method of a testbed, on seeds that comparisons do not reach soon', () => {
    for (const { tuning, tuned } of Object.values(testbeds)) {
      expect(new Set(Object.values(tuning.candidates).map((c) => c.length)).size).toBe(1);
      for (const seed of tuning.seeds) expect(seed).toBeGreaterThanOrEqual(1000);
      const all = Object.values(tuning.candidates).flat();
      for (const { optimizer } of Object.values(tuned)) expect(all).toContainEqual(optimizer);
    }
  });

  it('uses what the committed tuning logs found', async () => {
    for (const [id, { tuned }] of Object.entries(testbeds)) {
      if (Object.keys(tuned).length === 0) continue;
      const log = JSON.parse(await readFile(new URL(`../../results/tuning/${id}.json`, import.meta.url), 'utf8'));
      for (const [method, settings] of Object.entries(tuned)) expect(log.methods[method].best).toEqual(settings);
    }
  });

  it('picks the best mean and writes its log', async () => {
    const out = join(root, 'tune');
    const result = await tune({ methods: ['adamw'], testbed: 'smoke', out });
    const { best, candidates } = result.methods.adamw ?? { best: {}, candidates: [] };
    const means = candidates.map((c) => c.mean as number);
    expect(candidates[means.indexOf(Math.min(...means))]?.settings).toEqual(best.optimizer);
    expect(JSON.parse(await readFile(join(out, 'tuning.json'), 'utf8')).methods.adamw.best).toEqual(best);
  });

  it('layers settings: defaults, shared where known, tuned for the recipe or its optimizer, given ones', () => {
    const testbed = {
      ...testbeds.smoke,
      shared: { optimizer: { adam_beta2: 0.95, weight_decay: 0.1 } },
      tuned: { adamw: { optimizer: { learning_rate: 5 } }, 'adamw+nope': { optimizer: { learning_rate: 6 } } },
    } as Testbed;
    const rate = (spec: string, given?: Parameters<typeof recipeFor>[2]): unknown =>
      recipeFor(testbed, spec, given).optimizer?.settings.learning_rate;
    expect(recipeFor(testbed, 'adamw').optimizer?.settings).toMatchObject({ learning_rate: 5, weight_decay: 0.1, adam_beta1: 0.9 });
    expect(recipeFor(testbed, 'adam').optimizer?.settings).not.toHaveProperty('weight_decay');
    expect(rate('alibi')).toBe(5);
    expect(rate('adamw+nope')).toBe(6);
    expect(rate('adamw', { bySlot: { optimizer: { learning_rate: 7 } }, byMethod: {} })).toBe(7);
    expect(rate('adamw', { bySlot: {}, byMethod: { adamw: { learning_rate: 8 } } })).toBe(8);
    expect(recipeFor(testbed, 'alibi')).toMatchObject({ position: { method: 'alibi' }, optimizer: { method: 'adamw' } });
  });
});

describe('hashes', () => {
  it('do not depend on the order of keys, but on every value', () => {
    expect(hashOf({ a: 1, b: { c: [1, 2], d: undefined } })).toBe(hashOf({ b: { c: [1, 2] }, a: 1 }));
    expect(hashOf({ a: [1, 2] })).not.toBe(hashOf({ a: [2, 1] }));
  });
});
