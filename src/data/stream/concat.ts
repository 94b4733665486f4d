import type { NDArray } from '../../tensor/array.js';
import type { TokenStore } from '../tokens/tokenStore.js';
import { documentOrder, type Piece, type RowPlanner } from './documentOrder.js';

export type ConcatState = {
  readonly epoch: number;
  /** place in the epoch's order of the document that comes next */
  readonly index: number;
  /** tokens of that document that are used already */
  readonly offset: number;
};

/** Documents end to end, cut into rows of `context` tokens: no padding; a document may go on in the next row, and an epoch in the middle of one. */
export function concatRows(store: TokenStore, key: NDArray, context: number): RowPlanner<ConcatState> {
  const order = documentOrder(store, key);
  let epoch = 0;
  let index = 0;
  let offset = 0;
  return {
    get epoch() {
      return epoch + index / store.num_documents;
    },
    state: () => ({ epoch, index, offset }),
    restore(state) {
      ({ epoch, index, offset } = state);
    },
    nextRow() {
      const pieces: Piece[] = [];
      for (let room = context; room > 0; ) {
        const document = order(epoch, index);
        const start = store.documentStart(document) + offset;
        const left = store.documentStart(document + 1) - start;
        const length = Math.min(left, room);
        if (length) pieces.push({ start, length, continues: length < left });
        room -= length;
        offset += length;
        if (length < left) break;
        offset = 0;
        if (++index === store.num_documents) {
          index = 0;
          epoch++;
        }
      }
      return pieces;
    },
  };
}
