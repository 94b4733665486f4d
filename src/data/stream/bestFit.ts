import type { NDArray } from '../../tensor/array.js';
import { foldIn } from '../../tensor/random/threefry.js';
import type { TokenStore } from '../tokens/tokenStore.js';
import { documentOrder, type Piece, type RowPlanner } from './documentOrder.js';
import { permutation } from './permutation.js';

export type BestFitState = {
  readonly epoch: number;
  /** which group of documents of the epoch's order is packed now */
  readonly group: number;
  /** rows of the group that are used already */
  readonly row: number;
};

/**
 * Best-fit decreasing: from the longest piece to the shortest, each goes to the row with the least room that still holds it.
 * Pieces are no longer than `context`. Rows with the same room are filled in the order in which they were opened.
 */
export function bestFitDecreasing(pieces: readonly Piece[], context: number): Piece[][] {
  const rows: Piece[][] = [];
  const byRoom: Piece[][][] = Array.from({ length: context + 1 }, () => []);
  for (const piece of [...pieces].sort((a, b) => b.length - a.length)) {
    let room = piece.length;
    while (room < context && !byRoom[room]?.length) room++;
    let row = byRoom[room]?.shift();
    if (!row) {
      row = [];
      rows.push(row);
      room = context;
    }
    row.push(piece);
    byRoom[room - piece.length]?.push(row);
  }
  return rows;
}

/**
 * Best-fit packing (Ding et al. 2024, arXiv:2404.10830): documents longer than a row are cut into rows, everything else stays whole, and what
 * is left of a row is padded. Groups of `buffer_documents` consecutive documents of the epoch's order are packed at a time, and the rows of a
 * group are shuffled; so a cursor is the group and the row, and resuming plans one group again.
 */
export function bestFitRows(store: TokenStore, key: NDArray, context: number, buffer_documents: number): RowPlanner<BestFitState> {
  const order = documentOrder(store, key);
  const groups = Math.ceil(store.num_documents / buffer_documents);
  let epoch = 0;
  let group = 0;
  let row = 0;
  let rows: readonly Piece[][] | undefined;

  const plan = (): readonly Piece[][] => {
    const pieces: Piece[] = [];
    const last = Math.min((group + 1) * buffer_documents, store.num_documents);
    for (let index = group * buffer_documents; index < last; index++) {
      const document = order(epoch, index);
      const end = store.documentStart(document + 1);
      for (let start = store.documentStart(document); start < end; start += context) {
        const length = Math.min(context, end - start);
        pieces.push({ start, length, continues: start + length < end });
      }
    }
    const packed = bestFitDecreasing(pieces, context);
    if (packed.length < 2) return packed;
    const place = permutation(foldIn(foldIn(key, epoch), group), packed.length);
    return packed.map((_, i) => packed[place(i)] as Piece[]);
  };
  return {
    get epoch() {
      if (row > 0) rows ??= plan();
      return epoch + (group + (rows?.length ? row / rows.length : 0)) / groups;
    },
    state: () => ({ epoch, group, row }),
    restore(state) {
      ({ epoch, group, row } = state);
      rows = undefined;
    },
    nextRow() {
      for (;;) {
        rows ??= plan();
        const pieces = rows[row];
        if (pieces) {
          row++;
          return pieces;
        }
        rows = undefined;
        row = 0;
        if (++group === groups) {
          group = 0;
          epoch++;
        }
      }
    },
  };
}
