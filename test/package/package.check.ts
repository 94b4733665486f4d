import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'vite';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { manifest, repository, subpaths } from './manifest.js';

const root = mkdtempSync(join(tmpdir(), 'vitro-package-'));
const app = join(root, 'app');
const typescript = createRequire(import.meta.url).resolve('typescript/bin/tsc');

// The settings that npm hands down to scripts would reach the stranger's npm as well.
const env = {
  ...Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^npm_(config_(?!registry|userconfig|cache)|package_|lifecycle_)/.test(name)),
  ),
  ONNXRUNTIME_NODE_INSTALL: 'skip',
};

/** Runs a program, for its standard output; what it says on failure becomes the error. */
function run(program: string, args: readonly string[], cwd: string): string {
  try {
    return execFileSync(program, args, { cwd, env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  } catch (error) {
    const { stdout, stderr } = error as { stdout?: string; stderr?: string };
    throw new Error(`${program} ${args.join(' ')} failed:\n${stdout ?? ''}${stderr ?? ''}`);
  }
}

const script = (name: string, lines: readonly string[]): string => {
  const path = join(app, name);
  writeFileSync(path, `${lines.join('\n')}\n`);
  return path;
};

beforeAll(() => {
  run('npm', ['pack', '--ignore-scripts', '--pack-destination', root], repository);
  mkdirSync(app);
  script('package.json', ['{ "private": true, "type": "module" }']);
  run('npm', ['install', '--no-audit', '--no-fund', join(root, `${manifest.name}-${manifest.version}.tgz`)], app);
}, 300_000);

afterAll(() => rmSync(root, { recursive: true, force: true }));

it('multiplies matrices in Node', () => {
  const file = script('product.js', [
    "import { array, availableBackends, compile } from 'vitro/tensor';",
    'const product = compile((a, b) => a.matmul(b));',
    'const c = await product.run(array([[1, 2], [3, 4]]), array([[5, 6], [7, 8]]));',
    'console.log(JSON.stringify({ c: c.toNested(), backends: availableBackends().map((b) => b.problem ?? b.name) }));',
  ]);
  expect(JSON.parse(run(process.execPath, [file], app))).toEqual({
    c: [
      [19, 22],
      [43, 50],
    ],
    backends: ['ort', 'ort-node'],
  });
});

it('lets every folder be imported', () => {
  const file = script('imports.js', [
    ...subpaths.map((name) => `import * as ${name} from 'vitro/${name}';`),
    `console.log(JSON.stringify([${subpaths.map((name) => `typeof ${name}`).join(', ')}]));`,
  ]);
  expect(JSON.parse(run(process.execPath, [file], app))).toEqual(subpaths.map(() => 'object'));
});

it('carries types that a strict project accepts', () => {
  script('types.ts', [
    ...subpaths.map((name) => `import type * as ${name} from 'vitro/${name}';`),
    "import { array, compile, type NDArray, type Tensor } from 'vitro/tensor';",
    'const product = compile((a: Tensor, b: Tensor) => a.matmul(b));',
    'export const c: Promise<NDArray> = product.run(array([[1]]), array([[2]]));',
    '// @ts-expect-error a string is no array',
    "export const wrong = product.run('1', array([[2]]));",
    `export type Folders = [${subpaths.map((name) => `typeof ${name}`).join(', ')}];`,
  ]);
  for (const module of ['NodeNext', 'Preserve']) {
    const compilerOptions = { noEmit: true, strict: true, target: 'es2023', module };
    script('tsconfig.json', [JSON.stringify({ compilerOptions, files: ['types.ts'] })]);
    run(process.execPath, [typescript, '--project', app], app);
  }
});

it('has the command', () => {
  expect(run(join(app, 'node_modules', '.bin', 'vitro'), ['--version'], app)).toContain(manifest.version);
});

it('gives a page the modules for browsers', async () => {
  const entry = script('page.js', ["import { compile } from 'vitro/tensor';", 'globalThis.compile = compile;']);
  const result = await build({
    configFile: false,
    root: app,
    logLevel: 'silent',
    build: { write: false, rolldownOptions: { input: entry, external: [/^onnxruntime-web/] } },
  });
  if (!('output' in result)) throw new Error('vite built no single bundle');
  const modules = result.output.flatMap((file) => (file.type === 'chunk' ? file.moduleIds : []));
  expect(modules.some((id) => id.endsWith('platformBrowser.js'))).toBe(true);
  expect(modules.filter((id) => /platformNode|__vite-browser-external/.test(id))).toEqual([]);
});

it('keeps sources in its source maps', () => {
  const map = readFileSync(join(app, 'node_modules', 'vitro', 'dist', 'tensor', 'index.js.map'), 'utf8');
  expect(JSON.parse(map).sourcesContent).toHaveLength(1);
});
