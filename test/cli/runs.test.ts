import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { reportedVariables } from '../../src/cli/envCommand.js';
import { runCli } from '../../src/cli/program.js';
import { textChart } from '../../src/cli/textChart.js';
import { comparisonOf } from '../lab/reportFixture.js';

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

let root: string;
let runs: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'vitro-runs-'));
  runs = join(root, 'runs');
  // two ended methods, one of them with a diverged run
  await comparisonOf(join(runs, 'compare'), { adamw: [3, 3.1], muon: [2.9, null] });
  const open = async (name: string, pid: number): Promise<void> => {
    const folder = join(runs, 'compare', name);
    await mkdir(folder);
    await writeFile(
      join(folder, 'identity.json'),
      JSON.stringify({
        testbed: 'smoke',
        method: 'lion',
        seed: 7,
        recipe: { optimizer: { method: 'lion', settings: { learning_rate: 0.5 } } },
      }),
    );
    await writeFile(
      join(folder, 'metrics.jsonl'),
      '{"global_step":10,"num_tokens":640,"loss":4.5,"val/bpb":7.5,"step_time":0.25}\n{"global_step":20,"lo',
    );
    await writeFile(join(folder, 'run.lock'), JSON.stringify({ pid, host: hostname() }));
  };
  await open('lion-alive', process.pid);
  // above the largest process id that Linux gives
  await open('lion-dead', 2 ** 22 + 12345);
});
afterAll(() => rm(root, { recursive: true, force: true }));

describe('vitro runs', () => {
  it('lists runs in every state', async () => {
    const { code, out } = await vitro('runs', runs);
    expect(code).toBe(0);
    const line = (name: string): string => out.split('\n').find((l) => l.includes(name)) ?? '';
    expect(line('m0-seed1')).toMatch(/shakespeare +adamw +1 +finished +3\.1000 +4\.00k +1m 39s$/);
    expect(line('m1-seed1')).toMatch(/muon +1 +diverged +4\.00k/);
    expect(line('lion-alive')).toMatch(/smoke +lion +7 +running +7\.5000 +640 +3s$/);
    expect(line('lion-dead')).toMatch(/interrupted +7\.5000/);
    expect(out).toContain('6 runs');
    expect(out).toContain('3 finished, 1 diverged');
  });

  it('prints JSON: of a list and of one run', async () => {
    const list = JSON.parse((await vitro('runs', runs, '--json')).out) as { status: string; value: number | null }[];
    expect(list.map((r) => r.status)).toEqual(['running', 'interrupted', 'finished', 'finished', 'finished', 'diverged']);
    expect(list.map((r) => r.value)).toEqual([7.5, 7.5, 3, 3.1, 2.9, null]);
    const one = JSON.parse((await vitro('runs', join(runs, 'compare', 'm0-seed0'), '--json')).out);
    expect(one).toMatchObject({ method: 'adamw', record: { format: 2 }, identity: { seed: 0 } });
    expect(one.metrics.length).toBe(41);
  });

  it('shows one run in full, ended or not', async () => {
    const ended = (await vitro('runs', join(runs, 'compare', 'm0-seed0'))).out;
    for (const text of [
      'adamw seed 0 on shakespeare',
      'Training loss',
      'adamw learning_rate=0.002',
      'args.max_steps',
      '40 steps',
      'tokens_evaluated  1.23k',
    ])
      expect(ended).toContain(text);
    const dead = (await vitro('runs', join(runs, 'compare', 'lion-dead'))).out;
    expect(dead).toContain('the command that started it goes on with it');
    expect(dead).toContain('lion learning_rate=0.5');
    expect(dead).not.toContain('Training loss');
  });

  it('answers SQL over runs and metrics', async () => {
    const means = await vitro(
      'runs',
      runs,
      '--sql',
      "select method, avg(value) mean, count(*) n from runs where status = 'finished' group by method order by mean",
      '--json',
    );
    expect(JSON.parse(means.out)).toEqual([
      { method: 'muon', mean: 2.9, n: 1 },
      { method: 'adamw', mean: 3.05, n: 2 },
    ]);
    const joined = await vitro(
      'runs',
      runs,
      '--sql',
      'select r.method, min("val/bpb") best, max(global_step) steps from metrics join runs r using (folder) group by all order by best limit 1',
    );
    expect(joined.out).toMatch(/^method +best +steps\n-+ +-+ +-+\nmuon +2\.9 +40\n\n1 row\n$/);
    const recipe = await vitro('runs', runs, '--sql', "select distinct recipe->>'$.optimizer.method' m from runs order by m", '--json');
    expect(JSON.parse(recipe.out)).toEqual([{ m: 'adamw' }, { m: 'lion' }, { m: 'muon' }]);
  });

  it.each([
    ['select * from read_text($)', 'disabled'],
    ['select * from read_csv($)', 'disabled'],
    ['copy runs to $', 'disabled'],
    ['attach $ as other', 'disabled'],
    ['set enable_external_access = true', 'Cannot change'],
    ['set threads = 1', 'locked'],
    ['install httpfs', ''],
    ['selec', 'syntax'],
    ['select nothing from runs', 'nothing'],
  ])('keeps SQL away from files and settings: %s', async (sql, message) => {
    const file = join(runs, 'compare', 'm0-seed0', 'run.json').replaceAll("'", "''");
    const { code, out, err } = await vitro('runs', runs, '--sql', sql.replace('$', `'${file}'`));
    expect(code).toBe(2);
    expect(err).toContain('the SQL failed');
    expect(err).toContain(message);
    expect(out).toBe('');
  });

  it('says what is wrong with a folder', async () => {
    expect(await vitro('runs', join(root, 'none'))).toMatchObject({ code: 2, out: '' });
    await mkdir(join(root, 'empty'), { recursive: true });
    expect((await vitro('runs', join(root, 'empty'))).out).toContain('No runs under');
    expect(JSON.parse((await vitro('runs', join(root, 'empty'), '--json')).out)).toEqual([]);
    expect(JSON.parse((await vitro('runs', join(root, 'empty'), '--sql', 'select count(*) n from metrics', '--json')).out)).toEqual([
      { n: 0 },
    ]);
  });

  it('explains its tables', async () => {
    const { out } = await vitro('runs', '--help');
    for (const text of ['interrupted', 'global_step', 'Examples:']) expect(out).toContain(text);
  });
});

describe('textChart', () => {
  it('draws a falling line from the upper left to the lower right', () => {
    const chart = textChart(
      Array.from({ length: 21 }, (_, i) => [i, 20 - i] as const),
      { width: 30, height: 5 },
      'steps',
    );
    const rows = chart.split('\n');
    expect(rows[0]).toMatch(/^20\.00 \|\*/);
    expect(rows[2]).toMatch(/^10\.00 \|/);
    expect(rows[4]).toMatch(/^ 0\.00 \|.*\*$/);
    expect(rows.at(-1)).toMatch(/^ +0 +20 steps$/);
    for (const row of rows) expect(row.length).toBeLessThanOrEqual(30);
    const columns = rows.slice(0, 5).map((r) => r.indexOf('*'));
    expect(columns).toEqual([...columns].sort((a, b) => a - b));
  });

  it('draws nothing of a single point, and a level line of equal values', () => {
    expect(textChart([[1, 1]], { width: 40, height: 5 }, 'steps')).toBe('');
    expect(
      textChart(
        [
          [0, 2],
          [1, 2],
        ],
        { width: 40, height: 5 },
        'steps',
      ).split('\n')[0],
    ).toContain('*');
  });
});

describe('vitro env', () => {
  it('names versions, packages, machine, backends, folders', async () => {
    const { code, out } = await vitro('env', '--json');
    expect(code).toBe(0);
    const environment = JSON.parse(out);
    expect(environment.versions.node).toBe(process.versions.node);
    expect(environment.packages.commander).toMatch(/^\d+\./);
    expect(Object.values(environment.packages)).not.toContain(null);
    expect(environment.backends.length).toBeGreaterThan(0);
    expect(environment.caches.vitro.path).toBeTruthy();
    const text = (await vitro('env')).out;
    for (const part of ['Versions', 'onnxruntime-node', 'Machine', 'vitro cache', 'Environment variables']) expect(text).toContain(part);
  });

  it('reports the variables that matter, and never a secret', () => {
    const shown = reportedVariables({
      ...{
        HF_HOME: '/hf',
        HF_TOKEN: 'hf_secret',
        VITRO_CACHE: '/c',
        VITRO_API_KEY: 'k',
        https_proxy: 'http://user:pass@proxy:1',
        HOME: '/home',
        HF_HUB_OFFLINE: '',
      },
      ...{ HF_ENDPOINT: 'https://me:pass@hub.example', NODE_OPTIONS: '--max-old-space-size=100' },
    });
    expect(shown).toEqual({
      ...{
        HF_ENDPOINT: 'https://hub.example',
        HF_HOME: '/hf',
        HF_TOKEN: '(set)',
        NODE_OPTIONS: '--max-old-space-size=100',
        VITRO_API_KEY: '(set)',
      },
      ...{ VITRO_CACHE: '/c', https_proxy: '(set)' },
    });
  });
});
