import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { generateFiles } from './slotIndex.js';

// npm run generate: writes the index of every slot folder and the list of slots; says which files changed
const root = dirname(dirname(fileURLToPath(import.meta.url)));

function current(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

const files = generateFiles(root);
const stale = [...files].filter(([path, text]) => current(join(root, path)) !== text);
for (const [path, text] of stale) {
  writeFileSync(join(root, path), text);
  console.log(`wrote ${path}`);
}
console.log(`${files.size - stale.length} of ${files.size} generated files were up to date`);
