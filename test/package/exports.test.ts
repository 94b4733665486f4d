import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { manifest, repository, subpaths } from './manifest.js';

const source = (built: string): string => join(repository, built.replace(/^\.\/dist\//, 'src/').replace(/(\.d\.ts|\.js)$/, '.ts'));

it('every folder of src with an index can be imported, and nothing else', () => {
  const folders = readdirSync(join(repository, 'src')).filter((name) => existsSync(join(repository, 'src', name, 'index.ts')));
  expect(folders.length).toBeGreaterThan(3);
  expect([...subpaths].sort()).toEqual(folders.sort());
  for (const name of folders)
    expect(manifest.exports[`./${name}`]).toEqual({ types: `./dist/${name}/index.d.ts`, default: `./dist/${name}/index.js` });
});

it('internal imports lead to files of the build or to packages that are declared', () => {
  const declared = { ...manifest.dependencies, ...manifest.peerDependencies };
  const targets = Object.values(manifest.imports).flatMap((conditions) => Object.values(conditions));
  expect(targets.length).toBeGreaterThan(1);
  for (const target of targets) {
    if (target.startsWith('.')) expect(existsSync(source(target)), target).toBe(true);
    else expect(Object.keys(declared), target).toContain(target.split('/')[0]);
  }
});

it('one version of ONNX Runtime runs everywhere', () => {
  const version = manifest.dependencies['onnxruntime-node'];
  expect(version).toMatch(/^\d+\.\d+\.\d+$/);
  expect(manifest.devDependencies['onnxruntime-web']).toBe(version);
  expect(manifest.peerDependencies['onnxruntime-web']).toBe(version);
});
