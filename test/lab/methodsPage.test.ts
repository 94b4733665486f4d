import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { loadCatalogue } from '../../src/lab/catalogue/catalogue.js';
import { readStudies } from '../../src/lab/catalogue/results.js';
import { methodsPage, methodsPagePath } from '../../tools/methodsPage.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const items = loadCatalogue(root);

it('is up to date (npm run generate writes it)', () => {
  expect(readFileSync(join(root, methodsPagePath), 'utf8')).toBe(methodsPage(items, readStudies(root)));
});

it('has one line for every method that declares a demonstration', () => {
  const lines = methodsPage(items, []).split('\n');
  const declared = items.filter((i) => i.method?.demo);
  expect(declared.length).toBeGreaterThan(10);
  for (const { method } of declared) expect(lines.filter((l) => l.startsWith(`| \`${method?.id}\` |`))).toHaveLength(1);
});
