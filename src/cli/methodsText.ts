import type { Knob, Method } from '../contracts/index.js';
import { familyTrees, type TreeNode } from '../lab/catalogue/tree.js';
import { type CatalogueEntry, type CatalogueItem, type Result, statuses } from '../lab/catalogue/types.js';
import { clip, wrap } from './wrap.js';

const plural = (n: number, one: string, many: string): string => `${n} ${n === 1 ? one : many}`;

/** Lists by key, keys in order of appearance. */
function groupBy<T>(items: readonly T[], key: (item: T) => string): [string, T[]][] {
  const groups = new Map<string, T[]>();
  for (const item of items) groups.set(key(item), [...(groups.get(key(item)) ?? []), item]);
  return [...groups];
}

/** "2 works, 1 partial, 830 planned". */
export function countStatuses(entries: readonly CatalogueEntry[]): string {
  const counts = statuses.map((status) => [status, entries.filter((e) => e.status === status).length] as const);
  return counts
    .filter(([, n]) => n > 0)
    .map(([status, n]) => `${n} ${status}`)
    .join(', ');
}

/** Entries by slot, a line each: id, status, name, summary. */
export function methodsTable(entries: readonly CatalogueEntry[], width: number): string {
  if (entries.length === 0) return 'No entry fits these filters.';
  const idWidth = Math.max(...entries.map((e) => e.id.length));
  const statusWidth = Math.max(...entries.map((e) => e.status.length));
  const line = (e: CatalogueEntry): string => {
    const head = `  ${e.id.padEnd(idWidth)}  ${e.status.padEnd(statusWidth)}  `;
    return head + clip(e.name === e.id ? e.summary : `${e.name}: ${e.summary}`, Math.max(40, width - head.length));
  };
  const blocks = groupBy(entries, (e) => e.slot).map(([slot, group]) =>
    [`${slot} (${countStatuses(group)})`, ...group.map(line)].join('\n'),
  );
  const end = `${plural(entries.length, 'entry', 'entries')}: ${countStatuses(entries)}. "vitro methods ID" shows one of them.`;
  return [...blocks, end].join('\n\n');
}

function branch({ item, children }: TreeNode, lead: string, isLast: boolean, isRoot: boolean): string[] {
  const { id, status, seed, parent, summary } = item.entry;
  const elsewhere = isRoot && parent !== null ? `, changes ${parent}` : '';
  const text = `${id} (${[status, ...(seed === null ? [] : [seed])].join(', ')}${elsewhere})  ${summary}`;
  const below = isRoot ? '' : `${lead}${isLast ? '   ' : '|  '}`;
  return [
    isRoot ? text : `${lead}${isLast ? '`- ' : '|- '}${text}`,
    ...children.flatMap((child, i) => branch(child, below, i === children.length - 1, false)),
  ];
}

/** The family trees that the parents of methods make, slot by slot. */
export function methodsTree(items: readonly CatalogueItem[]): string {
  const trees = familyTrees(items);
  if (trees.length === 0) return 'No method of the code fits these filters.';
  return groupBy(trees, (t) => t.item.entry.slot)
    .map(([slot, roots]) => [slot, ...roots.flatMap((root) => branch(root, '', true, true))].join('\n'))
    .join('\n\n');
}

const knobText = (value: Knob): string => (Array.isArray(value) ? `[${value.join(', ')}]` : String(value));

/** One result in words: "muon against adamw on shakespeare: -0.195 val/bpb [-0.232, -0.158], 5 seeds: gain". */
function resultText(r: Result): string {
  const signed = (x: number): string => `${x < 0 ? '' : '+'}${x.toFixed(3)}`;
  if (r.method === r.baseline)
    return `baseline on ${r.testbed}: ${r.metric} ${r.mean?.toFixed(3) ?? 'diverged'}, ${plural(r.seeds, 'seed', 'seeds')} (${r.file})`;
  const start = `${r.method} against ${r.baseline} on ${r.testbed}:`;
  const d = r.difference;
  if (!d) return `${start} no pair of runs finished (${r.file})`;
  const interval = d.low === null || d.high === null ? '' : ` [${signed(d.low)}, ${signed(d.high)}]`;
  return `${start} ${signed(d.mean)} ${r.metric}${interval}, ${plural(d.n, 'seed', 'seeds')}: ${r.verdict ?? 'no verdict'} (${r.file})`;
}

function knobLines({ defaults, knobs = {} }: Method): string[] {
  const width = Math.max(0, ...Object.keys(defaults).map((k) => k.length));
  return Object.entries(defaults).map(([k, v]) => `${k.padEnd(width)}  ${knobText(v)}${knobs[k] ? `  ${knobs[k]}` : ''}`);
}

function limitText({ settings, inputs, tolerance }: Method['limits'][number], parent: string | undefined): string {
  const at = Object.entries(settings).map(([k, v]) => `${k}=${knobText(v)}`);
  const conditions = [at.length > 0 ? ` at ${at.join(', ')}` : '', inputs === undefined ? '' : ` with ${inputs}`].join('');
  return `equals ${parent ?? 'its parent'}${conditions}${tolerance === 0 ? ', exactly' : `, within ${tolerance}`}`;
}

type Field = readonly [name: string, lines: readonly string[]];

function methodFields(method: Method, results: readonly Result[]): Field[] {
  const { demo } = method;
  return [
    ['equation', [method.equation]],
    ['paper', [method.paper]],
    ['parent', [method.parent ?? 'none: the root of its slot']],
    ['knobs', knobLines(method)],
    ['limits', method.limits.map((limit) => limitText(limit, method.parent))],
    ['provenance', [method.provenance]],
    ['assumes', method.assumes],
    [
      'demonstration',
      demo
        ? [
            `${demo.method ?? method.id} against ${demo.baseline} on ${demo.testbed}: ${demo.metric} at equal ${demo.cost}, the paper leads one to expect ${demo.expect}`,
          ]
        : ['none: a standard method, which serves as a baseline'],
    ],
    ['result', results.length > 0 ? results.map(resultText) : ['none yet']],
  ];
}

/** One entry in full. */
export function methodPage({ entry, row, method, results }: CatalogueItem, width: number): string {
  const column = 15;
  const paper = row
    ? `${row.name} (${row.id}, ${row.kind}, field ${row.slot}${row.as ? `, as ${row.as}` : ''})`
    : 'no row of the catalogue: a standard method';
  const fields: Field[] = [
    ['slot', [entry.slot]],
    ['status', [entry.status]],
    ['catalogue', [paper]],
    ['idea', row && method ? [row.summary] : []],
    ['near', row && row.near !== '' ? [row.near] : []],
    ...(method ? methodFields(method, results) : []),
  ];
  const lines = fields.flatMap(([name, values]) =>
    values.map((value, i) => `${(i === 0 ? name : '').padEnd(column)}${name === 'knobs' ? value : wrap(value, width, column)}`),
  );
  return [`${entry.id}: ${wrap(entry.summary, width, 0)}`, '', ...lines].join('\n');
}
