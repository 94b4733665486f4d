import { Writable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { methodPage, methodsTable, methodsTree } from '../../src/cli/methodsText.js';
import { runCli } from '../../src/cli/program.js';
import type { Method } from '../../src/contracts/index.js';
import { allMethods } from '../../src/lab/catalogue/catalogue.js';
import type { CatalogueEntry, CatalogueItem } from '../../src/lab/catalogue/types.js';

class Sink extends Writable {
  text = '';
  columns = 100;
  override _write(chunk: Buffer, _: BufferEncoding, done: () => void): void {
    this.text += chunk.toString();
    done();
  }
}

async function vitro(...argv: string[]) {
  const [stdout, stderr] = [new Sink(), new Sink()];
  const code = await runCli(['methods', ...argv], { stdout, stderr });
  return { code, out: stdout.text, err: stderr.text };
}

const list = async (...argv: string[]): Promise<CatalogueEntry[]> => {
  const { code, out } = await vitro(...argv, '--json');
  expect(code).toBe(0);
  return JSON.parse(out) as CatalogueEntry[];
};

describe('vitro methods', () => {
  it('prints a JSON array whose objects have the promised keys', async () => {
    const all = await list();
    expect(all.length).toBeGreaterThanOrEqual(835);
    for (const e of all) {
      for (const key of ['id', 'name', 'slot', 'status', 'summary', 'kind'] as const)
        expect(typeof e[key], `${e.id} ${key}`).toBe('string');
      for (const key of ['seed', 'parent'] as const) expect(e[key] === null || typeof e[key] === 'string', `${e.id} ${key}`).toBe(true);
      expect(Array.isArray(e.evidence)).toBe(true);
    }
    expect(new Set(all.flatMap((e) => e.seed ?? [])).size).toBe(835);
  });

  it('filters by slot, field, status, kind and words, and all together', async () => {
    const all = await list();
    const by = (f: (e: CatalogueEntry) => boolean): string[] => all.filter(f).map((e) => e.id);
    const ids = async (...argv: string[]): Promise<string[]> => (await list(...argv)).map((e) => e.id);
    expect(await ids('--slot', 'optimizer')).toEqual(by((e) => e.slot === 'optimizer' || e.field === 'optimizer'));
    expect(await ids('--slot', 'kv-cache')).toContain('p364');
    expect(await ids('--status', 'works')).toEqual(by((e) => e.status === 'works'));
    expect((await ids('--kind', 'survey')).sort()).toEqual(['s09', 's18']);
    expect(await ids('--search', 'BASELINE length variance')).toContain(by((e) => e.seed === 'S17')[0]);
    expect(await ids('--slot', 'kv-cache', '--search', 'quantizes')).toEqual(['p369']);
    expect(await ids('--search', 'no paper says this')).toEqual([]);
  });

  it('shows a readable table with counts that add up', async () => {
    const { code, out } = await vitro();
    expect(code).toBe(0);
    expect(out).toMatch(/^optimizer \(\d+ works/m);
    expect(out).toMatch(/^ {2}muon +works +orthogonalised/m);
    const end = out.trimEnd().split('\n').at(-1) ?? '';
    const [total, ...counts] = [...end.matchAll(/(\d+) /g)].map((m) => Number(m[1]));
    expect(counts.reduce((a, b) => a + b, 0)).toBe(total);
    for (const line of out.split('\n').slice(0, -2)) expect(line.length).toBeLessThanOrEqual(100);
    expect((await vitro('--search', 'no paper says this')).out).toContain('No entry fits');
  });

  it('draws the family tree with every method once', async () => {
    const { out } = await vitro('--tree');
    expect(out).toMatch(/^adam \(\w+\)/m);
    expect(out).toMatch(/^[|` ]- adamw \(works\)/m);
    for (const { method } of allMethods())
      expect(out.split('\n').filter((l) => l.match(/[\w+-]+(?= \()/)?.[0] === method.id)).not.toEqual([]);
  });

  it('shows one method in full', async () => {
    const { code, out } = await vitro('muon');
    expect(code).toBe(0);
    expect(out).toMatch(/^muon: orthogonalised/);
    for (const pattern of [
      /^slot +optimizer$/m,
      /^status +works$/m,
      /^equation +m = mu m/m,
      /^paper +https/m,
      /^parent +adamw$/m,
      /^knobs +learning_rate +0.02/m,
      /^limits +equals adamw with no hidden matrices, exactly$/m,
      /^provenance +repo$/m,
      /^assumes +float32/m,
      /^demonstration +none/m,
      /^result +muon against adamw on shakespeare: -0\.\d+ val\/bpb \[-0\.\d+, -0\.\d+\], 5 seeds: gain/m,
    ])
      expect(out).toMatch(pattern);
  });

  it('shows a paper that is not in the code by id, in any case, or by name', async () => {
    const page = (await vitro('P364')).out;
    expect(page).toMatch(/^p364: A gate rates each token/);
    expect(page).toMatch(/^status +planned$/m);
    expect(page).not.toMatch(/^equation/m);
    expect((await vitro('p364')).out).toBe(page);
    expect((await vitro('trim-kv')).out).toBe(page);
    expect(JSON.parse((await vitro('p364', '--json')).out)).toHaveLength(1);
  });

  it.each([
    [['muno'], 'did you mean "muon"?'],
    [['--slot', 'optimiser'], 'did you mean "optimizer"?'],
    [['--status', 'work'], 'did you mean "works"?'],
    [['--kind', 'metod'], 'did you mean "method"?'],
  ])('answers %j with exit code 2 and the nearest name', async (argv, message) => {
    const { code, out, err } = await vitro(...argv);
    expect(code).toBe(2);
    expect(out).toBe('');
    expect(err).toContain(message);
  });
});

describe('text of methods', () => {
  const method: Method = {
    id: 'patch',
    summary: 'changes one thing',
    seed: 'P1',
    paper: 'arXiv:0',
    equation: 'y = a x',
    parent: 'base',
    defaults: { rate: 0.5, sizes: [1, 2] },
    knobs: { rate: 'how much' },
    limits: [{ settings: { rate: 0 }, inputs: 'equal lengths', tolerance: 1e-6 }],
    provenance: 'derived',
    assumes: ['one', 'two'],
    demo: { testbed: 'bed', baseline: 'base', metric: 'loss', cost: 'tokens', expect: 'gain' },
  };
  const entry = {
    id: 'patch',
    name: 'Patch',
    seed: 'P1',
    slot: 's',
    field: 'f',
    kind: 'method',
    parent: 'base',
    status: 'works',
    evidence: ['r.json'],
    summary: 'changes one thing',
    as: null,
  } satisfies CatalogueEntry;
  const shared = { flopsRatio: null, file: 'r.json', testbed: 'bed', metric: 'loss', baseline: 'base', seeds: 5, mean: 1 };
  const item: CatalogueItem = {
    entry,
    row: { id: 'P1', name: 'Patch', kind: 'method', slot: 'f', tier: 'A', summary: 'It patches.', near: 'base' },
    method,
    results: [
      { ...shared, method: 'patch', difference: { mean: 0.25, low: -0.1, high: 0.6, n: 5 }, verdict: 'inconclusive' },
      { ...shared, method: 'patch', difference: { mean: -1, low: null, high: null, n: 1 }, verdict: null },
      { ...shared, method: 'patch', difference: null, verdict: null },
    ],
  };

  it('writes limits, knobs, demonstration and every kind of result', () => {
    const text = methodPage(item, 400);
    for (const part of [
      'Patch (P1, method, field f)',
      'idea           It patches.',
      'rate   0.5  how much',
      'sizes  [1, 2]',
      'equals base at rate=0 with equal lengths, within 0.000001',
      'patch against base on bed: loss at equal tokens, the paper leads one to expect gain',
      'patch against base on bed: +0.250 loss [-0.100, +0.600], 5 seeds: inconclusive (r.json)',
      'patch against base on bed: -1.000 loss, 1 seed: no verdict (r.json)',
      'patch against base on bed: no pair of runs finished (r.json)',
    ])
      expect(text).toContain(part);
  });

  it('draws branches', () => {
    const node = (id: string, parent: string | null): CatalogueItem => ({
      ...item,
      entry: { ...entry, id, parent, seed: null, summary: '' },
      method: { ...method, id, parent: parent ?? undefined },
    });
    const tree = methodsTree([node('a', null), node('b', 'a'), node('c', 'b'), node('d', 'a'), node('e', 'other')]);
    expect(tree.split('\n').map((l) => l.trimEnd())).toEqual([
      's',
      'a (works)',
      '|- b (works)',
      '|  `- c (works)',
      '`- d (works)',
      'e (works, changes other)',
    ]);
    expect(methodsTree([])).toContain('No method');
  });

  it('clips long lines at words', () => {
    const table = methodsTable([{ ...entry, summary: 'word '.repeat(50) }], 60);
    expect(table.split('\n')[1]).toMatch(/^ {2}patch {2}works {2}Patch: (word )+word\.\.\.$/);
  });
});
