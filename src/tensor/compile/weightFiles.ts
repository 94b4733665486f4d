import type { NDArray } from '../array.js';
import { BackendError } from '../errors.js';
import { type Graph, isOp, type Tensor, topoSort } from '../graph.js';

/** Node's file system and hashes, looked up at run time so that a page can load this module. */
function node(): { fs: typeof import('node:fs'); path: typeof import('node:path'); crypto: typeof import('node:crypto') } {
  const get = globalThis.process?.getBuiltinModule;
  if (!get) throw new BackendError('weightsFolder needs the file system of Node; leave the option out in a page');
  return { fs: get('node:fs'), path: get('node:path'), crypto: get('node:crypto') };
}

const bytesOf = ({ data }: NDArray): Uint8Array => new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

/**
 * Writes the constants of a graph from `minimumBytes` on into a folder, one file each, named by their content, so that models share them and a second
 * start writes nothing. A file appears under its name only when it is complete. Returns the file name of each constant.
 */
export function storeWeights(graph: Graph, folder: string, minimumBytes: number): ReadonlyMap<Tensor, string> {
  const { fs, path, crypto } = node();
  const names = new Map<Tensor, string>();
  const failed = (error: unknown): BackendError =>
    new BackendError(`weights could not be written to ${folder}: ${(error as Error).message}`);
  try {
    fs.mkdirSync(folder, { recursive: true });
  } catch (error) {
    throw failed(error);
  }
  for (const n of topoSort(graph.outputs)) {
    if (!isOp(n, 'constant') || n.attrs.value.data.byteLength < minimumBytes) continue;
    const bytes = bytesOf(n.attrs.value);
    const name = `${crypto.createHash('sha256').update(bytes).digest('hex').slice(0, 32)}.bin`;
    const file = path.join(folder, name);
    if (!fs.existsSync(file) || fs.statSync(file).size !== bytes.byteLength) {
      const partial = `${file}.${process.pid}.partial`;
      try {
        fs.writeFileSync(partial, bytes);
        fs.renameSync(partial, file);
      } catch (error) {
        fs.rmSync(partial, { force: true });
        throw failed(error);
      }
    }
    names.set(n.out(), name);
  }
  return names;
}
