/** `train` and `test` share no problem, whatever the seeds and settings; `all` draws from both. */
export type Split = 'train' | 'test' | 'all';

/** share of all problems, and of all combinations of skills, that is kept from training */
export const heldOutShare = 0.2;

/** A text's place in [0, 1): FNV-1a over its UTF-16 units, then murmur3's finaliser, whose bits mix well. */
export function hashUnit(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32;
}

/** Whether a problem belongs to the split. `identity` is equal for spellings of the same problem. */
export const inSplit = (split: Split, identity: string): boolean =>
  split === 'all' || (split === 'test') === hashUnit(`problem ${identity}`) < heldOutShare;

/** Whether a combination of skills is kept for tests of generalisation. */
export const isHeldOutCombination = (combination: string): boolean => hashUnit(`combination ${combination}`) < heldOutShare;
