import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { slots } from '../../src/lab/catalogue/slots.js';
import { exportName, readSlots } from '../../tools/readSlot.js';
import { generateFiles } from '../../tools/slotIndex.js';

const root = fileURLToPath(new URL('../..', import.meta.url));

describe('generated files', () => {
  it('are up to date (npm run generate writes them)', () => {
    for (const [path, text] of generateFiles(root)) expect(readFileSync(join(root, path), 'utf8'), `${path} is stale`).toBe(text);
  });

  it('list every slot, and every method under its own id', () => {
    expect(slots.map((s) => s.folder)).toEqual(readSlots(root).map((s) => s.folder));
    for (const { methods } of slots) for (const [id, method] of Object.entries(methods)) expect(method.id).toBe(id);
  });

  it('miss no method that a file of the folder exports', async () => {
    for (const { folder, methods, id } of slots) {
      const files = readSlots(root).find((s) => s.folder === folder);
      for (const name of [...(files?.methods.map((m) => m.name) ?? []), ...(files?.helpers ?? [])]) {
        const exported: Record<string, unknown> = await import(join(root, folder, `${name}.ts`));
        for (const value of Object.values(exported)) {
          if (value === null || typeof value !== 'object' || !('provenance' in value) || !('id' in value)) continue;
          expect(Object.values(methods), `${folder}/${name}.ts (slot ${id})`).toContain(value);
          expect(exportName(String(value.id))).toBe(name);
        }
      }
    }
  });
});

describe('the generator', () => {
  let folder: string;
  const slot =
    "export const slot = { id: 's', record: 'things', summary: 'x' } as const;\nexport interface ThingMethod extends Method {}\n";
  const write = (files: Record<string, string>): void => {
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(join(folder, path, '..'), { recursive: true });
      writeFileSync(join(folder, path), text);
    }
  };
  const method = (name: string, id: string): string => `export const ${name}: ThingMethod = { id: '${id}', paper: 'p' };`;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'vitro-generate-'));
    mkdirSync(join(folder, 'src'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it('finds methods however they are made, and sorts as the formatter does', () => {
    write({
      'src/nn/things/slot.ts': `${slot}export const helperOfSlot = 1;\n`,
      'src/nn/things/fooBar.ts': method('fooBar', 'foo-bar'),
      'src/nn/things/foo10.ts': "export const foo10 = make({ id: 'foo10', paper: 'p' });",
      'src/nn/things/foo2.ts': "export const foo2 = { id: 'foo2', paper: 'p' } satisfies ThingMethod;",
      'src/nn/things/pieces.ts': 'export const piece = (x: number): number => x;',
      'src/nn/things/conformance.ts': 'export const conformance = 1;',
    });
    const text = generateFiles(folder).get('src/nn/things/index.ts');
    expect(text?.split('\n').slice(2)).toEqual([
      "import { foo2 } from './foo2.js';",
      "import { foo10 } from './foo10.js';",
      "import { fooBar } from './fooBar.js';",
      "import type { ThingMethod } from './slot.js';",
      '',
      "export * from './pieces.js';",
      "export type { ThingMethod } from './slot.js';",
      "export { helperOfSlot } from './slot.js';",
      '',
      '/** Every method of the slot by its id. */',
      'export const things: Readonly<Record<string, ThingMethod>> = {',
      "  'foo-bar': fooBar,",
      '  foo2,',
      '  foo10,',
      '};',
      '',
    ]);
    expect(generateFiles(folder).get('src/lab/catalogue/slots.ts')).toContain(
      "{ ...thingsSlot, folder: 'src/nn/things', methods: things },",
    );
  });

  it.each([
    ['a file that is not named after its method', { 'src/nn/t/other.ts': method('fooBar', 'foo-bar') }, 'must be named fooBar'],
    ['an export that is not named after its id', { 'src/nn/t/foo.ts': method('foo', 'foo-bar') }, 'must be named fooBar'],
    ['two methods in a file', { 'src/nn/t/a.ts': `${method('a', 'a')}\n${method('b', 'b')}` }, 'one file, one method'],
    ['an id that is computed', { 'src/nn/t/a.ts': 'export const a: ThingMethod = { id: name, paper: p };' }, 'written out'],
    ['a slot without its constant', { 'src/nn/t/slot.ts': 'export interface ThingMethod {}' }, 'must export const slot'],
    ['a slot without a method type', { 'src/nn/t/slot.ts': slot.replace('ThingMethod', 'Thing') }, 'name ends in Method'],
    ['two slots of one name', { 'src/nn/u/slot.ts': slot }, "slot id 's'"],
    [
      'two methods of one name',
      {
        'src/nn/t/a.ts': method('a', 'a'),
        'src/nn/u/a.ts': method('a', 'a'),
        'src/nn/u/slot.ts': slot.replace("'s'", "'u'").replace("'things'", "'us'"),
      },
      "a method 'a'",
    ],
  ])('refuses %s', (_, files, message) => {
    write({ 'src/nn/t/slot.ts': slot, ...files });
    expect(() => generateFiles(folder)).toThrow(message);
  });

  it.each([
    ['cautious-adamw', 'cautiousAdamw'],
    ['adam', 'adam'],
    ['4-bit-muon', '_4BitMuon'],
    ['fp8.e4m3', 'fp8E4m3'],
  ])('names the export of %s %s', (id, name) => expect(exportName(id)).toBe(name));
});
