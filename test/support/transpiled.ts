import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
/** At the depth of dist, so that paths relative to a module lead to the same places. */
export const transpiledFolder = here('../../dist-test');

/**
 * Brings dist-test up to date: the sources as JavaScript, file by file and without a type check, so that child processes start as fast as an
 * installed package does and run what is in src now. Returns the command line's entry point.
 */
export function transpileSources(): string {
  const root = here('../../src');
  const platform = join(transpiledFolder, 'tensor/backends/platformNode.js');
  for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !entry.name.endsWith('.ts') || entry.name.endsWith('.d.ts')) continue;
    const source = join(entry.parentPath, entry.name);
    const target = join(transpiledFolder, relative(root, source)).replace(/ts$/, 'js');
    if (existsSync(target) && statSync(target).mtimeMs >= statSync(source).mtimeMs) continue;
    const own = relative(dirname(target), platform).split(sep).join('/');
    const text = readFileSync(source, 'utf8').replaceAll("'#platform'", `'./${own}'`);
    const { outputText } = ts.transpileModule(text, {
      compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2023, verbatimModuleSyntax: true },
    });
    mkdirSync(dirname(target), { recursive: true });
    const draft = `${target}.${randomUUID()}`;
    writeFileSync(draft, outputText);
    renameSync(draft, target);
  }
  return join(transpiledFolder, 'cli/main.js');
}
