import type { NDArray } from '../array.js';
import { VitroError } from '../errors.js';
import { getOrMake } from '../getOrMake.js';

interface Use {
  readers: number;
  writing: boolean;
  /** donated to a run that has not finished: others may read it meanwhile, but not take it too */
  taken: boolean;
}

const uses = new WeakMap<ArrayBufferLike, Use>();
let inFlight = 0;

const useOf = (a: NDArray): Use => {
  const { buffer } = a.data;
  return getOrMake(uses, buffer, () => ({ readers: 0, writing: false, taken: false }));
};

const describe = (a: NDArray): string => `${a.dtype}[${a.shape.join(', ')}]`;

/** Throws where a run would touch memory that an unfinished asynchronous run writes, or write what one reads. */
export function checkFree(reads: readonly NDArray[], writes: readonly NDArray[], donated: readonly NDArray[]): void {
  if (inFlight === 0) return;
  for (const a of donated)
    if (useOf(a).taken)
      throw new VitroError(`the array ${describe(a)} was donated to a run that has not finished: use that run's result instead`);
  for (const a of reads)
    if (useOf(a).writing) throw new VitroError(`the array ${describe(a)} is being written by a run that has not finished: await it first`);
  for (const a of writes) {
    const use = useOf(a);
    if (use.writing || use.readers > 0)
      throw new VitroError(`the memory of ${describe(a)} is still in use by a run that has not finished: await it before this step`);
  }
}

/** Marks memory as in use by an asynchronous run, `donated` as given away to it; the returned function ends that. */
export function hold(reads: readonly NDArray[], writes: readonly NDArray[], donated: readonly NDArray[]): () => void {
  checkFree(reads, writes, donated);
  inFlight++;
  const readUses = reads.map(useOf);
  const writeUses = writes.map(useOf);
  const donatedUses = donated.map(useOf);
  for (const u of donatedUses) u.taken = true;
  for (const u of readUses) u.readers++;
  for (const u of writeUses) u.writing = true;
  return () => {
    inFlight--;
    for (const u of readUses) u.readers--;
    for (const u of writeUses) u.writing = false;
    for (const u of donatedUses) u.taken = false;
  };
}
