import type { Command } from 'commander';
import { loadCatalogue } from '../lab/catalogue/catalogue.js';
import { type CatalogueItem, kinds, statuses } from '../lab/catalogue/types.js';
import { lookUp, nearestName, UsageError } from '../lab/names.js';
import { exitCodes, type Io } from './io.js';
import { methodPage, methodsTable, methodsTree } from './methodsText.js';

interface MethodsFlags {
  readonly slot?: string;
  readonly status?: string;
  readonly kind?: string;
  readonly search?: string;
  readonly json?: boolean;
  readonly tree?: boolean;
}

/** vitro methods [ID] */
export function addMethods(program: Command, io: Io, setExit: (code: number) => void): void {
  program
    .command('methods')
    .description('List the methods and the papers they come from: what works, what is planned, which result shows it.')
    .argument('[id]', 'show one method or paper in full')
    .option('--slot <name>', "a slot of the code or a paper's field, e.g. optimizer or kv-cache")
    .option('--status <status>', statuses.join(', '))
    .option('--kind <kind>', kinds.join(', '))
    .option('--search <text>', 'words that id, name or summary must contain')
    .option('--tree', 'draw the family trees of the methods in the code')
    .option('--json', 'print a JSON array')
    .addHelpText(
      'after',
      `
Status:
  works         in the code, and the result of its demonstration is committed under results/
  partial       in the code, not yet demonstrated
  planned       a paper that no code implements yet
  not-a-module  nothing to implement: a survey, a data set, released weights

Examples:
  $ vitro methods --status works
  $ vitro methods --slot kv-cache --search eviction
  $ vitro methods muon
  $ vitro methods --tree
  $ vitro methods --json | jq 'map(select(.seed != null)) | length'`,
    )
    .action((id: string | undefined, flags: MethodsFlags) => {
      io.stdout.write(`${methodsOutput(id, flags, io.stdout.columns ?? 120)}\n`);
      setExit(exitCodes.done);
    });
}

function methodsOutput(id: string | undefined, flags: MethodsFlags, width: number): string {
  const all = loadCatalogue();
  if (id !== undefined) {
    const found = findItems(all, id);
    return flags.json ? JSON.stringify(found.map(({ entry }) => entry)) : found.map((item) => methodPage(item, width)).join('\n\n');
  }
  const items = filterItems(all, flags);
  const entries = items.map(({ entry }) => entry);
  if (flags.json) return JSON.stringify(entries);
  return flags.tree ? methodsTree(items) : methodsTable(entries, width);
}

/** The entries of an id: of a method, of a paper (P741) or of its whole name. Several where slots share an id or methods share a paper. */
function findItems(items: readonly CatalogueItem[], id: string): CatalogueItem[] {
  const wanted = id.toLowerCase();
  for (const name of [
    ({ entry }: CatalogueItem) => entry.id,
    ({ entry }: CatalogueItem) => entry.seed,
    ({ entry }: CatalogueItem) => entry.name,
  ]) {
    const found = items.filter((item) => name(item)?.toLowerCase() === wanted);
    if (found.length > 0) return found;
  }
  const near = nearestName(id, [...items.map(({ entry }) => entry.id), ...items.map(({ entry }) => entry.name)]);
  throw new UsageError(
    `unknown method "${id}"${near ? `; did you mean "${near}"?` : ''} "vitro methods --search ${id}" looks into names and summaries.`,
  );
}

/** Names a filter may have, for lookUp. */
const table = (names: readonly string[]): Readonly<Record<string, string>> => Object.fromEntries(names.map((n) => [n, n]));

function filterItems(items: readonly CatalogueItem[], { slot, status, kind, search }: MethodsFlags): CatalogueItem[] {
  if (slot !== undefined) lookUp('slot', slot, table(items.flatMap(({ entry }) => [entry.slot, entry.field])));
  if (status !== undefined) lookUp('status', status, table(statuses));
  if (kind !== undefined) lookUp('kind', kind, table(kinds));
  const words = search?.toLowerCase().split(/\s+/) ?? [];
  return items.filter(({ entry, row }) => {
    const text = `${entry.id} ${entry.seed ?? ''} ${entry.name} ${entry.summary} ${row?.summary ?? ''}`.toLowerCase();
    return (
      (slot === undefined || entry.slot === slot || entry.field === slot) &&
      (status === undefined || entry.status === status) &&
      (kind === undefined || entry.kind === kind) &&
      words.every((word) => text.includes(word))
    );
  });
}
