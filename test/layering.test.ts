import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { layeringViolations, readSources } from './support/layering.js';

describe('layering', () => {
  const sources = readSources(fileURLToPath(new URL('../src', import.meta.url)));

  it('holds in src', () => {
    expect(sources.size).toBeGreaterThan(10);
    expect(layeringViolations(sources)).toEqual([]);
  });

  it.each([
    ['tensor/a.ts', "import { x } from '../nn/x.js';", 'stands below'],
    ['data/a.ts', "export * from '../train/x.js';", 'stands below'],
    ['nn/a.ts', "const lab = await import('../lab/x.js');", 'stands below'],
    ['nn/a.ts', "type T = import('../lab/x.js').T;", 'stands below'],
    ['models/a.ts', "import ort from 'onnxruntime-node';", 'only src/tensor may'],
    ['contracts/a.ts', "import { readFileSync } from 'node:fs';", 'contracts import nothing'],
    ['contracts/a.ts', "import type { T } from '../tensor/x.js';", 'contracts import nothing'],
    ['elsewhere/a.ts', 'export {};', 'no place in the list'],
    ['nn/a.ts', "import x from '../../test/x.js';", 'outside of src'],
  ])('catches %s with %s', (path, text, message) => {
    expect(layeringViolations(new Map([[path, text]])).join('\n')).toContain(message);
  });

  it('accepts imports from above and from the own folder', () => {
    const text = "import a from '../tensor/a.js'; import b from './b.js'; import c from '../contracts/index.js'; import 'node:fs';";
    expect(layeringViolations(new Map([['train/a.ts', text]]))).toEqual([]);
  });
});
