import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, posix, relative, sep } from 'node:path';
import ts from 'typescript';

/** The layers, top first (docs/architecture.md): a folder imports only from folders before it, and from itself. */
export const layers = [
  'contracts',
  'tensor',
  'nn',
  'models',
  'data',
  'optim',
  'adapt',
  'compress',
  'infer',
  'interpret',
  'guard',
  'reason',
  'agents',
  'evaluate',
  'train',
  'lab',
  'serve',
  'cli',
] as const;

const runtimePackages = /^onnxruntime-(node|web|common)(\/|$)|^koffi(\/|$)/;

/** Sources under `root` by their path relative to it, with forward slashes. */
export function readSources(root: string): Map<string, string> {
  const entries = readdirSync(root, { recursive: true, withFileTypes: true });
  const files = entries.filter((e) => e.isFile() && /\.tsx?$/.test(e.name)).map((e) => join(e.parentPath, e.name));
  return new Map(files.sort().map((f) => [relative(root, f).split(sep).join('/'), readFileSync(f, 'utf8')]));
}

/** Every breach of the layering among `sources` (path relative to src -> text), as sentences. */
export function layeringViolations(sources: ReadonlyMap<string, string>): string[] {
  const out: string[] = [];
  const rank = (folder: string): number => (layers as readonly string[]).indexOf(folder);
  for (const [path, text] of sources) {
    const folder = path.split('/')[0] as string;
    if (path.includes('/') && rank(folder) < 0) out.push(`${path}: src/${folder} has no place in the list of layers`);
    // preProcessFile finds import, export-from, dynamic import and import types
    for (const { fileName: specifier } of ts.preProcessFile(text, true, true).importedFiles) {
      if (folder !== 'tensor' && (runtimePackages.test(specifier) || specifier === '#platform'))
        out.push(`${path}: imports ${specifier}; only src/tensor may`);
      if (folder === 'contracts' && !specifier.startsWith('./')) out.push(`${path}: imports ${specifier}; contracts import nothing`);
      if (!specifier.startsWith('.')) continue;
      const target = posix.normalize(posix.join(dirname(path), specifier));
      if (target.startsWith('..')) {
        if (!target.endsWith('package.json')) out.push(`${path}: imports ${specifier}, which lies outside of src`);
        continue;
      }
      const other = target.split('/')[0] as string;
      if (other === folder || !path.includes('/')) continue;
      if (rank(other) < 0) out.push(`${path}: imports ${specifier}, whose folder has no place in the list of layers`);
      else if (rank(other) > rank(folder)) out.push(`${path}: imports ${specifier}, but src/${other} stands below src/${folder}`);
    }
  }
  return out;
}
