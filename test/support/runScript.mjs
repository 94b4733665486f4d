// Runs one exported function of a TypeScript module in a process of its own: node runScript.mjs <module> <function> <arguments as JSON>
import { fileURLToPath } from 'node:url';
import { runnerImport } from 'vite';

const [module, name, args] = process.argv.slice(2);
const platform = fileURLToPath(new URL('../../src/tensor/backends/platformNode.ts', import.meta.url));
const loaded = await runnerImport(module, { configFile: false, logLevel: 'error', resolve: { alias: { '#platform': platform } } });
process.stdout.write(JSON.stringify(await loaded.module[name](...JSON.parse(args))));
