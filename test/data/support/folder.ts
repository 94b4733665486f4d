import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll } from 'vitest';

/** A folder that goes away after the test file. `put` writes a file in it and returns its path. */
export function temporaryFolder(): { path: string; put: (name: string, content: string | Uint8Array) => Promise<string> } {
  const path = mkdtempSync(join(tmpdir(), 'vitro-data-'));
  afterAll(() => rmSync(path, { recursive: true, force: true }));
  return {
    path,
    async put(name, content) {
      const file = join(path, name);
      await mkdir(dirname(file), { recursive: true });
      await writeFile(file, content);
      return file;
    },
  };
}

/** The folder of shared real data, where this machine has one. */
export function sharedData(): string | undefined {
  const path = process.env.VITRO_SHARED ?? fileURLToPath(new URL('../../../../shared/data', import.meta.url));
  return existsSync(path) ? path : undefined;
}
