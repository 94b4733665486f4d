import { fileURLToPath } from 'node:url';
import { makeBase, shippedBases } from '../src/lab/bases/index.js';

/** Makes the base models that come with the package anew: `npx jiti tools/makeBases.ts [ID...]`. One thread, so that their bits do not depend on the cores. */
const wanted = process.argv.slice(2);
for (const base of shippedBases) {
  if (wanted.length > 0 && !wanted.includes(base.id)) continue;
  const folder = fileURLToPath(new URL(`../assets/bases/${base.id}`, import.meta.url));
  await makeBase(base, folder, { threads: 1, onProgress: (text) => process.stderr.write(`${text}\n`) });
  process.stdout.write(`${folder}\n`);
}
