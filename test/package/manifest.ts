import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export const repository = fileURLToPath(new URL('../..', import.meta.url));

/** The parts of package.json that say what can be imported. */
export interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly imports: Readonly<Record<string, Readonly<Record<string, string>>>>;
  readonly exports: Readonly<Record<string, string | Readonly<Record<string, string>>>>;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
  readonly peerDependencies: Readonly<Record<string, string>>;
}

export const manifest = JSON.parse(readFileSync(`${repository}/package.json`, 'utf8')) as Manifest;

/** Names of the folders that users import, e.g. "tensor". */
export const subpaths: readonly string[] = Object.keys(manifest.exports).flatMap((key) =>
  key.endsWith('.json') ? [] : [key.replace(/^\.\//, '')],
);
