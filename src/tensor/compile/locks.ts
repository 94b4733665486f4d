import type { NDArray } from '../array.js';
import { VitroError } from '../errors.js';
import { getOrMake } from '../getOrMake.js';

interface Use {
  readers: number;
  writing: boolean;
}

const uses = new WeakMap<ArrayBufferLike, Use>();
let inFlight = 0;

const useOf = (a: NDArray): Use => {
  const { buffer } = a.data;
  return getOrMake(uses, buffer, () => ({ readers: 0, writing: false }));
};

const describe = (a: NDArray): string => `${a.dtype}[${a.shape.join(', ')}]`;

/** Throws where a run would touch memory that an unfinished asynchronous run writes, or write what one reads. */
export function checkFree(reads: readonly NDArray[], writes: readonly NDArray[]): void {
  if (inFlight === 0) return;
  for (const a of reads)
    if (useOf(a).writing) throw new VitroError(`the array ${describe(a)} is being written by a run that has not finished: await it first`);
  for (const a of writes) {
    const use = useOf(a);
    if (use.writing || use.readers > 0)
      throw new VitroError(`the memory of ${describe(a)} is still in use by a run that has not finished: await it before this step`);
  }
}

/** Marks memory as in use by an asynchronous run; the returned function ends that. */
export function hold(reads: readonly NDArray[], writes: readonly NDArray[]): () => void {
  checkFree(reads, writes);
  inFlight++;
  const readUses = reads.map(useOf);
  const writeUses = writes.map(useOf);
  for (const u of readUses) u.readers++;
  for (const u of writeUses) u.writing = true;
  return () => {
    inFlight--;
    for (const u of readUses) u.readers--;
    for (const u of writeUses) u.writing = false;
  };
}
