import { createHash } from 'node:crypto';
import type { ParamTree } from '../../nn/param.js';
import type { NDArray } from '../../tensor/array.js';
import { type Tree, treeEntries } from '../../tensor/tree.js';

/** SHA-256 of parameters: their names, types, shapes and values. */
export function weightsHash(params: ParamTree<NDArray>): string {
  const hash = createHash('sha256');
  for (const [path, { dtype, shape, data }] of treeEntries<NDArray>(params as Tree<NDArray>))
    hash.update(`${path} ${dtype} ${shape.join()}\n`).update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  return hash.digest('hex');
}
