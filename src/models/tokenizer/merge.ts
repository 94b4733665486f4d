import { VitroError } from '../../tensor/errors.js';
import type { PairTable } from './pairTable.js';

const scanLimit = 96;
/** Rank and place of a candidate in one exact double: ranks lie below 2^27, places below 2^26. */
const placeRange = 2 ** 26;

/**
 * Byte pair encoding of one piece: applies the rule of lowest rank, leftmost first, until none applies (Sennrich et al. 2016).
 * `symbols` is used up. Short pieces scan for the lowest rank, long ones use a heap: O(n log n).
 */
export function mergeSymbols(symbols: number[], rules: PairTable): number[] {
  if (symbols.length < 2) return symbols;
  if (symbols.length >= placeRange) throw new VitroError(`a piece of ${symbols.length} symbols is too long to merge; cut the text first`);
  return symbols.length <= scanLimit ? mergeByScan(symbols, rules) : mergeByHeap(symbols, rules);
}

const noRule = 0x7fffffff;

function mergeByScan(symbols: number[], rules: PairTable): number[] {
  const rankAt = (i: number): number => {
    const rule = rules.find(symbols[i] as number, symbols[i + 1] as number);
    return rule < 0 ? noRule : rules.rank(rule);
  };
  const ranks: number[] = [];
  for (let i = 0; i + 1 < symbols.length; i++) ranks.push(rankAt(i));
  for (;;) {
    let best = -1;
    let bestRank = noRule;
    for (let i = 0; i < ranks.length; i++)
      if ((ranks[i] as number) < bestRank) {
        bestRank = ranks[i] as number;
        best = i;
      }
    if (best < 0) return symbols;
    symbols[best] = rules.product(rules.find(symbols[best] as number, symbols[best + 1] as number));
    symbols.splice(best + 1, 1);
    ranks.splice(best, 1);
    if (best > 0) ranks[best - 1] = rankAt(best - 1);
    if (best < ranks.length) ranks[best] = rankAt(best);
  }
}

class MinHeap {
  #keys: number[] = [];

  push(key: number): void {
    const keys = this.#keys;
    let at = keys.length;
    keys.push(key);
    while (at > 0) {
      const up = (at - 1) >> 1;
      if ((keys[up] as number) <= key) break;
      keys[at] = keys[up] as number;
      at = up;
    }
    keys[at] = key;
  }

  pop(): number | undefined {
    const keys = this.#keys;
    const top = keys[0];
    const last = keys.pop();
    if (last === undefined || keys.length === 0) return top;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= keys.length) break;
      if (child + 1 < keys.length && (keys[child + 1] as number) < (keys[child] as number)) child++;
      if ((keys[child] as number) >= last) break;
      keys[at] = keys[child] as number;
      at = child;
    }
    keys[at] = last;
    return top;
  }
}

function mergeByHeap(symbols: number[], rules: PairTable): number[] {
  const n = symbols.length;
  const next = Int32Array.from({ length: n }, (_, i) => i + 1);
  const previous = Int32Array.from({ length: n }, (_, i) => i - 1);
  const heap = new MinHeap();
  const offer = (i: number): void => {
    const j = i < 0 ? n : (next[i] as number);
    const rule = j >= n ? -1 : rules.find(symbols[i] as number, symbols[j] as number);
    if (rule >= 0) heap.push(rules.rank(rule) * placeRange + i);
  };
  for (let i = 0; i + 1 < n; i++) offer(i);
  for (let key = heap.pop(); key !== undefined; key = heap.pop()) {
    const i = key % placeRange;
    const j = next[i] as number;
    if (symbols[i] === -1 || j >= n) continue;
    const rule = rules.find(symbols[i] as number, symbols[j] as number);
    // a stale candidate: one of its symbols has been merged since
    if (rule < 0 || rules.rank(rule) !== (key - i) / placeRange) continue;
    symbols[i] = rules.product(rule);
    symbols[j] = -1;
    const after = next[j] as number;
    next[i] = after;
    if (after < n) previous[after] = i;
    offer(previous[i] as number);
    offer(i);
  }
  return symbols.filter((id) => id !== -1);
}
