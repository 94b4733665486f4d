import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Demo, Method } from '../../src/contracts/index.js';
import { allMethods, entries, joinCatalogue, loadCatalogue, packageRoot } from '../../src/lab/catalogue/catalogue.js';
import { readResults } from '../../src/lab/catalogue/results.js';
import { readRows } from '../../src/lab/catalogue/rows.js';
import { familyTrees, type TreeNode } from '../../src/lab/catalogue/tree.js';
import { type CatalogueRow, type CodeSlot, statuses } from '../../src/lab/catalogue/types.js';

const rows = readRows(join(packageRoot, 'catalogue'));

/** S00 to S31 and P000 to P802: the 835 papers. */
const papers = [
  ...Array.from({ length: 32 }, (_, i) => `S${String(i).padStart(2, '0')}`),
  ...Array.from({ length: 803 }, (_, i) => `P${String(i).padStart(3, '0')}`),
];

describe('the rows of the catalogue', () => {
  it('hold each of the 835 papers exactly once', () => {
    expect(rows.map((r) => r.id).sort()).toEqual([...papers].sort());
  });

  it('say what every paper does, in one or two sentences of their own', () => {
    for (const { id, summary, name } of rows) {
      expect(summary, id).toMatch(/^[A-Z].{40,360}[.]$/);
      expect(summary.split(/\.\s/).length, id).toBeLessThanOrEqual(3);
      expect(name.trim(), id).toBe(name);
    }
    expect(new Set(rows.map((r) => r.summary)).size).toBe(rows.length);
  });

  it('give a reason where there is nothing to implement, and count studies as experiments', () => {
    for (const { id, module, as, kind } of rows) {
      if (module === false) expect(as, id).toBeTruthy();
      if (kind === 'survey') expect(module, id).toBe(false);
      if (kind === 'analysis' && module !== false) expect(as, id).toBe('experiment');
    }
  });
});

describe('entries', () => {
  const all = entries();

  it('cover every paper and every method of the code', () => {
    expect(new Set(all.flatMap((e) => (e.seed === null ? [] : [e.seed])))).toEqual(new Set(papers));
    for (const { method, slot } of allMethods()) expect(all.filter((e) => e.id === method.id && e.slot === slot.id)).toHaveLength(1);
    expect(all.length).toBe(allMethods().length + rows.filter((r) => !allMethods().some(({ method }) => method.seed === r.id)).length);
  });

  it('have statuses that add up and agree with the code and the files', () => {
    const counts = statuses.map((s) => all.filter((e) => e.status === s).length);
    expect(counts.reduce((a, b) => a + b)).toBe(all.length);
    const inCode = all.filter((e) => e.status === 'works' || e.status === 'partial');
    const answered = inCode.filter((e) => e.evidence.length > 0 && e.evidence.every((file) => file.startsWith('results/studies/')));
    expect(inCode.length - answered.length).toBe(allMethods().length);
    for (const e of all) if (e.status === 'works') expect(e.evidence.length, e.id).toBeGreaterThan(0);
    expect(all.find((e) => e.id === 'muon')).toMatchObject({ status: 'works', seed: null, parent: 'adamw', slot: 'optimizer' });
  });

  it('name only papers that exist', () => {
    for (const { method } of allMethods()) if (method.seed !== undefined) expect(papers, method.id).toContain(method.seed);
  });

  it('form trees that hold every method once', () => {
    const flatten = (node: TreeNode): string[] => [`${node.item.entry.slot}/${node.item.entry.id}`, ...node.children.flatMap(flatten)];
    const reached = familyTrees(loadCatalogue()).flatMap(flatten);
    expect(reached.sort()).toEqual(
      allMethods()
        .map(({ slot, method }) => `${slot.id}/${method.id}`)
        .sort(),
    );
    for (const { method } of allMethods()) {
      const seen = new Set<string>();
      let current: Method | undefined = method;
      while (current) {
        expect(seen, `cycle at ${current.id}`).not.toContain(current.id);
        seen.add(current.id);
        const { parent }: Method = current;
        current = allMethods().find((m) => m.method.id === parent)?.method;
      }
    }
  });
});

describe('joining', () => {
  const demo: Demo = { testbed: 't', baseline: 'base', metric: 'm', cost: 'tokens', expect: 'gain' };
  const method = (id: string, rest: Partial<Method> = {}): Method => ({
    id,
    summary: id,
    paper: '',
    equation: '',
    defaults: {},
    limits: [],
    provenance: 'paper',
    assumes: [],
    ...rest,
  });
  const slot = (...methods: Method[]): CodeSlot => ({
    id: 'slot',
    record: 'slots',
    summary: '',
    folder: 'src/slot',
    methods: Object.fromEntries(methods.map((m) => [m.id, m])),
  });
  const row = (id: string, rest: Partial<CatalogueRow> = {}): CatalogueRow => ({
    id,
    name: `paper ${id}`,
    kind: 'method',
    slot: 'field',
    tier: 'A',
    summary: 's',
    near: '',
    ...rest,
  });
  const difference = { mean: -1, low: -2, high: 0, n: 5 };
  const result = {
    flopsRatio: null,
    file: 'results/a.json',
    testbed: 't',
    metric: 'm',
    baseline: 'base',
    seeds: 5,
    mean: 1,
    difference,
    verdict: 'gain',
  };

  it('keeps two methods of one paper apart and lists other papers once', () => {
    const items = joinCatalogue([row('P1'), row('P2')], [slot(method('a', { seed: 'P1' }), method('b', { seed: 'P1' }))], []);
    expect(items.map(({ entry }) => [entry.id, entry.seed, entry.status, entry.slot, entry.field])).toEqual([
      ['a', 'P1', 'partial', 'slot', 'field'],
      ['b', 'P1', 'partial', 'slot', 'field'],
      ['p2', 'P2', 'planned', 'field', 'field'],
    ]);
  });

  it.each([
    ['the declared comparison', {}, 'works'],
    ['another testbed', { testbed: 'other' }, 'partial'],
    ['another baseline', { baseline: 'other' }, 'partial'],
    ['another metric', { metric: 'other' }, 'partial'],
    ['a combination that was not declared', { method: 'a+b' }, 'partial'],
    ['two seeds', { difference: { ...difference, n: 2 } }, 'partial'],
    ['no finished pair', { difference: null }, 'partial'],
  ])('with %s only: the result is evidence, the status is right', (_, changes, status) => {
    const [item] = joinCatalogue([row('P1')], [slot(method('a', { seed: 'P1', demo }))], [{ ...result, method: 'a', ...changes }]);
    expect(item?.entry).toMatchObject({ status, evidence: ['results/a.json'] });
  });

  it('takes the row that a demonstration names, and any comparison for a standard method', () => {
    const items = joinCatalogue(
      [],
      [slot(method('a', { demo: { ...demo, method: 'x+a' } }), method('base'), method('lonely'))],
      [
        { ...result, method: 'x+a' },
        { ...result, method: 'base', difference: null, verdict: null },
      ],
    );
    expect(items.map(({ entry }) => entry.status)).toEqual(['works', 'works', 'partial']);
  });

  it('lets the code overrule a row without a module', () => {
    const none = row('P1', { module: false, as: 'benchmark' });
    expect(joinCatalogue([none], [], [])[0]?.entry).toMatchObject({ status: 'not-a-module', as: 'benchmark' });
    expect(joinCatalogue([none], [slot(method('a', { seed: 'P1' }))], [])[0]?.entry.status).toBe('partial');
  });

  it('draws cycles and strange parents without end', () => {
    const items = joinCatalogue(
      [],
      [
        slot(
          method('a', { parent: 'b' }),
          method('b', { parent: 'a' }),
          method('c', { parent: 'elsewhere' }),
          method('d', { parent: 'd' }),
        ),
      ],
      [],
    );
    const ids = (node: TreeNode): unknown => [node.item.entry.id, ...node.children.map(ids)];
    expect(familyTrees(items).map(ids)).toEqual([['c'], ['a', ['b']], ['d']]);
  });
});

describe('reading', () => {
  let root: string;
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'vitro-catalogue-'));
  });
  afterEach(() => rmSync(root, { recursive: true, force: true }));
  const write = (path: string, value: unknown): void => {
    mkdirSync(join(root, path, '..'), { recursive: true });
    writeFileSync(join(root, path), typeof value === 'string' ? value : JSON.stringify(value));
  };

  it('finds comparisons at any depth, passes other files over, and accepts missing figures', () => {
    const comparison = { testbed: 't', metric: 'm', baseline: 'a', unknown: 1 };
    write('results/compare/x/summary.json', {
      ...comparison,
      rows: [
        { method: 'a', values: [1, null, 3] },
        { method: 'b', estimate: { mean: 2, n: 1 }, difference: { mean: 1, low: null, high: null, n: 1 }, verdict: 'loss' },
      ],
    });
    write('results/tuning/t.json', { testbed: 't', metric: 'm', methods: {} });
    write('results/bench/b.json', [1, 2]);
    const file = 'results/compare/x/summary.json';
    const shared = { file, testbed: 't', metric: 'm', baseline: 'a', flopsRatio: null };
    expect(readResults(root)).toEqual([
      { ...shared, method: 'a', seeds: 2, mean: null, difference: null, verdict: null },
      { ...shared, method: 'b', seeds: 1, mean: 2, difference: { mean: 1, low: null, high: null, n: 1 }, verdict: 'loss' },
    ]);
    expect(readResults(join(root, 'nowhere'))).toEqual([]);
    write('results/broken.json', '{');
    expect(() => readResults(root)).toThrow('results/broken.json is no JSON');
  });

  it.each([
    ['no JSON', '{', 'a.jsonl:2 is no JSON'],
    ['an unknown key', { ...rows[0], id: 'P1', status: 'works' }, 'a.jsonl:2'],
    ['an unknown kind', { ...rows[0], id: 'P1', kind: 'paper' }, 'a.jsonl:2'],
    ['a repeated id', { ...rows[0], id: 'P0' }, 'a.jsonl:2 repeats P0 of a.jsonl:1'],
  ])('refuses a row with %s and names the line', (_, second, message) => {
    write('a.jsonl', `${JSON.stringify({ ...rows[0], id: 'P0' })}\n${typeof second === 'string' ? second : JSON.stringify(second)}\n`);
    expect(() => readRows(root)).toThrow(message);
  });
});

describe('studies', () => {
  const row: CatalogueRow = { id: 'P900', name: 'A finding', kind: 'analysis', slot: 'x', tier: 'D', summary: '', near: '' };
  const study = { file: 'results/studies/a.json', seed: 'P900', question: '?', verdict: 'yes', answer: 'so', seeds: [0, 1, 2] };
  const statusOf = (seeds: readonly number[]) => joinCatalogue([row], [], [], [{ ...study, seeds }])[0]?.entry;

  it('a paper without a method works where a study over three seeds answers it', () => {
    expect(statusOf([0, 1, 2])).toMatchObject({ status: 'works', evidence: ['results/studies/a.json'] });
    expect(statusOf([0, 1])?.status).toBe('planned');
    expect(joinCatalogue([row], [], [])[0]?.entry).toMatchObject({ status: 'planned', evidence: [] });
  });
});
