import type { NDArray } from '../../tensor/array.js';
import { foldIn } from '../../tensor/random/threefry.js';
import type { TokenStore } from '../tokens/tokenStore.js';
import { permutation } from './permutation.js';

/** A piece of a document that stands in one row. */
export interface Piece {
  /** first token, in the numbering of the store */
  readonly start: number;
  readonly length: number;
  /** whether the document goes on after the piece, so that its last position has a target */
  readonly continues: boolean;
}

/** Says which pieces of documents stand in which row. */
export interface RowPlanner<State> {
  nextRow(): readonly Piece[];
  state(): State;
  restore(state: State): void;
  readonly epoch: number;
}

/** The document at a place of an epoch's order; the order of every epoch is another permutation of all documents. */
export function documentOrder(store: TokenStore, key: NDArray): (epoch: number, index: number) => number {
  let current = -1;
  let order = (index: number): number => index;
  return (epoch, index) => {
    if (epoch !== current) {
      order = permutation(foldIn(key, epoch), store.num_documents);
      current = epoch;
    }
    return order(index);
  };
}
