import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

/** The check of the packed package, which needs the network: npm run test:package. */
export default defineConfig({
  root: fileURLToPath(new URL('../..', import.meta.url)),
  test: { include: ['test/package/*.check.ts'], testTimeout: 300_000 },
});
