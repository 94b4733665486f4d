import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Method } from '../../contracts/index.js';
import { readResults, readStudies, type StudyResult } from './results.js';
import { readRows } from './rows.js';
import { slots } from './slots.js';
import type { CatalogueEntry, CatalogueItem, CatalogueRow, CodeSlot, Result, Status } from './types.js';

/** Root of the package or repository: catalogue/ and results/ lie there. */
export const packageRoot = fileURLToPath(new URL('../../../', import.meta.url));

/** A result decides only from three seeds on. */
const minimumSeeds = 3;

/** Whether a result is the demonstration that the method declares; for a standard method, which declares none, any comparison of it. */
function demonstrates({ id, demo }: Method, result: Result): boolean {
  if (demo === undefined) return result.method === id && result.seeds >= minimumSeeds;
  const isDeclared =
    result.method === (demo.method ?? id) &&
    result.testbed === demo.testbed &&
    result.baseline === demo.baseline &&
    result.metric === demo.metric;
  return isDeclared && (result.difference?.n ?? 0) >= minimumSeeds;
}

const rowStatus = (row: CatalogueRow): Status => (row.module === false ? 'not-a-module' : 'planned');

function methodItem(slot: CodeSlot, method: Method, row: CatalogueRow | null, all: readonly Result[]): CatalogueItem {
  const results = all.filter((r) => r.method.split('+').includes(method.id));
  const entry: CatalogueEntry = {
    id: method.id,
    name: row?.name ?? method.id,
    seed: method.seed ?? null,
    slot: slot.id,
    field: row?.slot ?? slot.id,
    kind: row?.kind ?? 'method',
    parent: method.parent ?? null,
    status: results.some((r) => demonstrates(method, r)) ? 'works' : 'partial',
    evidence: [...new Set(results.map((r) => r.file))],
    summary: method.summary,
    as: null,
  };
  return { entry, row, method, results };
}

/** A paper that no method implements. It works where a committed study over enough seeds answers its question. */
const paperItem = (row: CatalogueRow, studies: readonly StudyResult[]): CatalogueItem => ({
  entry: {
    id: row.id.toLowerCase(),
    name: row.name,
    seed: row.id,
    slot: row.slot,
    field: row.slot,
    kind: row.kind,
    parent: null,
    status: studies.some((s) => s.seed === row.id && s.seeds.length >= minimumSeeds) ? 'works' : rowStatus(row),
    evidence: studies.filter((s) => s.seed === row.id).map((s) => s.file),
    summary: row.summary,
    as: row.as ?? null,
  },
  row,
  method: null,
  results: [],
});

/**
 * Joins papers, methods of the code and results: first the methods, slot by slot, then the papers that no method implements, in the order of their rows.
 * A paper that several methods implement stands there once for each of them.
 */
export function joinCatalogue(
  rows: readonly CatalogueRow[],
  codeSlots: readonly CodeSlot[],
  results: readonly Result[],
  studies: readonly StudyResult[] = [],
): CatalogueItem[] {
  const byId = new Map(rows.map((row) => [row.id, row]));
  const methods = codeSlots.flatMap((slot) =>
    Object.values(slot.methods).map((method) =>
      methodItem(slot, method, (method.seed === undefined ? undefined : byId.get(method.seed)) ?? null, results),
    ),
  );
  const implemented = new Set(methods.map(({ entry }) => entry.seed));
  return [...methods, ...rows.filter(({ id }) => !implemented.has(id)).map((row) => paperItem(row, studies))];
}

/** Reads the catalogue that lies under `root`. Throws a VitroError where a file is broken. */
export const loadCatalogue = (root: string = packageRoot): CatalogueItem[] =>
  joinCatalogue(readRows(join(root, 'catalogue')), slots, readResults(root), readStudies(root));

/** Every method and paper with its status. */
export const entries = (root: string = packageRoot): CatalogueEntry[] => loadCatalogue(root).map(({ entry }) => entry);

/** Every method of the code with its slot. */
export const allMethods = (): { readonly slot: CodeSlot; readonly method: Method }[] =>
  slots.flatMap((slot) => Object.values(slot.methods).map((method) => ({ slot, method })));
