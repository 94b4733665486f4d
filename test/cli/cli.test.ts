import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { stripVTControlCharacters } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compareTable, duration, si, table } from '../../src/cli/format.js';
import { runCli } from '../../src/cli/program.js';
import { Progress } from '../../src/cli/progress.js';
import type { CompareSummary } from '../../src/lab/compare.js';
import { isSupportedNode } from '../../src/lab/doctor.js';
import type { RunRecord } from '../../src/lab/runStore.js';

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'vitro-cli-'));
});
afterAll(() => rm(root, { recursive: true, force: true }));

class Sink extends Writable {
  text = '';
  override _write(chunk: Buffer, _: BufferEncoding, done: () => void): void {
    this.text += chunk.toString();
    done();
  }
}

async function vitro(...argv: string[]) {
  const [stdout, stderr] = [new Sink(), new Sink()];
  const code = await runCli(argv, { stdout, stderr });
  return { code, out: stdout.text, err: stderr.text };
}

describe('vitro', () => {
  it('explains itself with examples', async () => {
    const help = await vitro('--help');
    expect(help.code).toBe(0);
    expect(help.out).toContain('vitro compare adamw muon --testbed shakespeare --seeds 3');
    const compareHelp = await vitro('compare', '--help');
    expect(compareHelp.code).toBe(0);
    expect(compareHelp.out).toMatch(/shakespeare +next byte of Shakespeare/);
    expect(compareHelp.out).toContain('Examples:');
    expect((await vitro()).code).toBe(2);
    expect((await vitro('--version')).out.trim()).toMatch(/^\d+\.\d+\.\d+$/);
  });

  it.each([
    [['compare', 'adamw', 'muno'], 'did you mean "muon"?'],
    [['compare', 'adamw', '--testbed', 'shakespear'], 'did you mean "shakespeare"?'],
    [['compare', 'adamw', '--seeds', 'many'], 'whole number'],
    [['compare', 'adamw', '--seds', '3'], '--seeds'],
    [['compare'], 'missing required argument'],
    [['comparre', 'adamw'], 'Did you mean compare?'],
  ])('answers %j with exit code 2 and a suggestion', async (argv, message) => {
    const { code, out, err } = await vitro(...argv);
    expect(code).toBe(2);
    expect(err).toContain(message);
    expect(out).toBe('');
  });

  it('compares: JSON alone on stdout, progress on stderr, then a table from the finished runs', async () => {
    const argv = ['compare', 'adamw', 'muon', '--testbed', 'smoke', '--seeds', '2', '--out', join(root, 'smoke')];
    const json = await vitro(...argv, '--json');
    expect(json.code).toBe(0);
    const summary = JSON.parse(json.out) as CompareSummary;
    expect(summary.rows[1]?.difference?.n).toBe(2);
    expect(json.err).toContain('4 runs, 80 steps');
    expect(json.err).toContain('tokens/s');
    expect(json.err).toMatch(/muon seed 1 {2}100% {2}loss \d/);
    const text = await vitro(...argv);
    expect(text.err).toContain('4 finished already');
    expect(text.out).toMatch(/^adamw +\d\.\d{3,} \u00b1 \d\.\d{3,} +baseline/m);
    expect(text.out).toMatch(/^muon .*(gain|loss|equivalent|inconclusive)/m);
  });

  it('examines the machine', async () => {
    const { code, out } = await vitro('doctor', '--json');
    const report = JSON.parse(out);
    expect(code).toBe(report.ok ? 0 : 1);
    expect(report.ok).toBe(true);
    expect(report.gemm_gflops.all_threads).toBeGreaterThan(1);
    expect(report.versions.node).toBe(process.versions.node);
    const ort = report.backends.find((b: { name: string }) => b.name === 'ort');
    expect(ort.works || ort.problem).toBeTruthy();
  });

  it('knows which versions of Node it supports', () => {
    expect(['18.19.0', '20.19.9', '20.20.0', '22.0.0', '24.1.0'].map(isSupportedNode)).toEqual([false, false, true, true, true]);
  });
});

describe('Progress', () => {
  const setUp = (isTTY: boolean, columns = 80) => {
    let now = 0;
    let text = '';
    const write = (s: string): void => {
      text += s;
    };
    const progress = new Progress({ isTTY, columns, write }, () => now);
    progress.onEvent({ type: 'start', runs: 4, reused: 1, out: 'runs/x', parallel: 2, steps: 400, steps_reused: 100, metric: 'val/bpb' });
    const step = (run: string, step: number, more: object = {}): void =>
      progress.onEvent({ type: 'progress', run, step, steps: 100, loss: 4, ...more });
    const advance = (ms: number): void => {
      now += ms;
    };
    const take = (): string => {
      const taken = text;
      text = '';
      return taken;
    };
    return { progress, step, advance, take };
  };
  const record = { result: { 'val/bpb': 2.5 }, ledger: { wall_seconds: 61 } } as unknown as RunRecord;

  it('prints a plain line per tenth of a run when the output is no terminal', () => {
    const { progress, step, advance, take } = setUp(false);
    expect(take()).toBe('4 runs, 400 steps, 2 side by side, 1 finished already and taken over; results in runs/x\n');
    advance(10_000);
    for (const at of [4, 8]) step('muon seed 0', at, { tokens: at * 1000 });
    expect(take()).toBe('');
    step('muon seed 0', 10, { loss: 3.25, metric: 4.5, tokens: 10_000 });
    // 10 of the 300 steps to do took 10 s
    expect(take()).toBe('muon seed 0   10%  loss 3.250  val/bpb 4.500  [1/4 runs, 3%, about 4m 50s left, 1.00k tokens/s, 10s so far]\n');
    progress.onEvent({ type: 'end', run: 'muon seed 0', record });
    expect(take()).toBe('muon seed 0 ended: val/bpb 2.5000 in 1m 01s\n');
    progress.stop();
  });

  it('counts runs of other lengths by their own steps', () => {
    const { progress, step, advance, take } = setUp(false);
    advance(10_000);
    step('a', 20, { steps: 40 });
    expect(take()).toContain('a   50%');
    progress.onEvent({ type: 'end', run: 'a', record });
    take();
    step('b', 10);
    // 40 + 10 of 300 steps took 10 s
    expect(take()).toContain('[2/4 runs, 16%, about 50s left, 10s so far]');
    progress.stop();
  });

  it('repaints a block on a terminal and leaves no trace of it', () => {
    const { progress, step, advance, take } = setUp(true);
    take();
    advance(1000);
    step('a', 10);
    expect(take().split('\n').length).toBe(3);
    step('a', 11);
    expect(take()).toBe(''); // too soon to repaint
    advance(200);
    step('b', 1);
    expect(take().startsWith('\u001b[2A\u001b[0J')).toBe(true);
    progress.stop();
    expect(take()).toBe('\u001b[3A\u001b[0J');
  });

  it('keeps every line of the block within a narrow terminal, loss and remaining time included', () => {
    const { progress, step, advance, take } = setUp(true, 44);
    take();
    advance(1000);
    step('a-very-long-name-of-a-method+and-another seed 0', 10, { loss: 3.25, tokens: 1e6 });
    advance(1000);
    step('muon seed 0', 10, { loss: 3.5 });
    const lines = stripVTControlCharacters(take()).split('\n').slice(-4, -1);
    for (const line of lines) expect(line.length).toBeLessThan(44);
    expect(lines[0]).toContain('loss 3.250');
    expect(lines[0]?.indexOf('10%')).toBe(lines[1]?.indexOf('10%'));
    expect(lines[2]).toContain('left');
    progress.stop();
  });
});

describe('format', () => {
  it('writes durations, counts and columns', () => {
    expect([0.4, 59.4, 65, 3725].map(duration)).toEqual(['0s', '59s', '1m 05s', '1h 02m']);
    expect([0, 12.5, 999, 1020, 716800, 4.56e12].map(si)).toEqual(['0', '12.5', '999', '1.02k', '717k', '4.56T']);
    expect(table(['a', 'bb'], [['long', '1']])).toBe('a      bb\n----   --\nlong    1');
    expect(table(['a', 'b'], [['\u001b[32mx\u001b[0m', '1']])).toBe('a   b\n-   -\n\u001b[32mx\u001b[0m   1');
  });

  it('says what limits a result: few seeds, divergence, untuned settings, too little power', () => {
    const row = { settings: {}, values: [3, null], diverged: 1, tokens: 1, flops: 1, train_seconds: 1, p_holm: null };
    const e = { mean: 3, low: Number.NaN, high: Number.NaN, sd: Number.NaN, n: 1 };
    const summary = {
      testbed: 't',
      metric: 'm',
      better: 'lower',
      margin: 0.02,
      baseline: 'a',
      seeds: [0, 1],
      out: 'runs/x',
      rows: [
        { ...row, method: 'a', tuned: true, estimate: e, difference: null, verdict: null },
        {
          ...row,
          method: 'b',
          tuned: false,
          estimate: null,
          difference: { mean: 0.1, low: -0.1, high: 0.3, sd: 0.1, n: 2, p: 0.2, minimum_detectable_effect: 0.4 },
          verdict: 'inconclusive',
        },
      ],
    } as unknown as CompareSummary;
    const text = compareTable(summary, { width: 200 });
    expect(text).toContain('a: 1 of 2 runs diverged');
    expect(text).toContain('not tuned on this testbed for b:');
    expect(text).toContain('With 80% power these seeds would find a difference of 0.400 for b;');
    expect(text).toContain('+0.100 [-0.100, +0.300]');
    expect(text).toContain('Fewer than 3 seeds');
    expect(text).not.toContain('\u001b');
    expect(compareTable(summary, { colour: true })).toContain('\u001b[33minconclusive\u001b[0m');
    const narrow = compareTable(summary, { width: 50 });
    for (const line of narrow.split('\n')) expect(line.length).toBeLessThanOrEqual(50);
    expect(narrow).toMatch(/^b\n {2}m +diverged\n/m);
  });
});
