import { VitroError } from '../tensor/errors.js';
import type { Tensor } from '../tensor/graph.js';
import { iota, ones } from '../tensor/ops/create.js';
import { cast, eq, ge, lt, mul, neg, recip, sub, where } from '../tensor/ops/elementwise.js';
import { gather, scatterAdd } from '../tensor/ops/indexing.js';
import { reshape, unsqueeze } from '../tensor/ops/movement.js';
import { dimOf } from '../tensor/ops/operand.js';
import { max, sum } from '../tensor/ops/reduce.js';
import { at, slice } from '../tensor/ops/slicing.js';
import type { BatchTensors } from './objective/slot.js';

/** The sequences of a batch of examples. Legend: B rows, T tokens, E examples of k sequences, S = E k, N = B T. */
export interface Sequences {
  /** examples E and sequences of each */
  readonly examples: number;
  readonly each: number;
  /** f32 [E]: 1 where an example fills the place */
  readonly present: Tensor;
  /** f32 [S]: the same for its sequences */
  readonly presentSequences: Tensor;
  /** f32 [B, T]: 1 at positions that have a target */
  readonly counted: Tensor;
  /** targets of every sequence [S] */
  readonly lengths: Tensor;
  /** Sums [S] of values [B, T] over the positions of each sequence. */
  sums(values: Tensor): Tensor;
  /** Values [S] at every position of their sequence [B, T]; 0 at padding. */
  spread(values: Tensor): Tensor;
  /** Entry j of every example [E] out of values [S]. */
  pick(values: Tensor, j: number): Tensor;
  /** Rows [S, D] of states [B, T, D] at the last token of every sequence. */
  last(states: Tensor): Tensor;
  /** Values [B, T] brought to [0, 1] within their sequence: the least counted one to 0, the greatest to 1; all to 0 where they are equal. */
  minMax(values: Tensor): Tensor;
  /** Ranks [B, T] (0 = the greatest) of scores among the counted positions of the same sequence; equal scores by position. */
  ranks(scores: Tensor): Tensor;
  /** 0, 1, ... [B, T] along the counted positions of each sequence. */
  readonly places: Tensor;
}

/** Beyond every value that is compared. */
const FAR = 1e30;

const input = (extra: Readonly<Record<string, Tensor>>, name: string): Tensor => {
  const found = extra[name];
  if (!found) throw new VitroError(`the batch has no ${name}; make batches with exampleSource`);
  return found;
};

export function sequencesOf(batch: BatchTensors, extra: Readonly<Record<string, Tensor>>): Sequences {
  const ids = input(extra, 'sequence_ids');
  const ends = input(extra, 'ends');
  const present = input(extra, 'present');
  const [B, T] = [dimOf(ids, 0) as number, dimOf(ids, 1) as number];
  const [E, S] = [dimOf(present, 0) as number, dimOf(ends, 0) as number];
  const each = S / E;
  const flatIds = reshape(ids, [B * T]);
  const counted = cast(ge(batch.targets, 0), 'f32');
  const sums = (values: Tensor): Tensor => slice(scatterAdd(flatIds, reshape(mul(values, counted), [B * T]), { size: S + 1 }), [[0, S]]);
  const spread = (values: Tensor): Tensor => {
    const inside = lt(ids, S);
    return mul(gather(values, where(inside, ids, 0)), cast(inside, 'f32'));
  };
  const before = cast(lt(iota([1, 1, T], 2), iota([1, T, 1], 1)), 'f32');
  /** [B, T, T]: positions (t, s) of one sequence that both count */
  const together = (): Tensor =>
    mul(cast(eq(unsqueeze(ids, 2), unsqueeze(ids, 1)), 'f32'), mul(unsqueeze(counted, 2), unsqueeze(counted, 1)));
  return {
    examples: E,
    each,
    present,
    presentSequences: reshape(mul(unsqueeze(present, 1), ones([1, each])), [S]),
    counted,
    lengths: sums(counted),
    sums,
    spread,
    pick: (values, j) => at(reshape(values, [E, each]), j, 1),
    last: (states) => gather(reshape(states, [B * T, dimOf(states, -1)]), ends),
    minMax: (values) => {
      const flat = reshape(values, [1, B * T]);
      const member = lt(0, mul(cast(eq(reshape(ids, [1, B * T]), iota([S, 1], 0)), 'f32'), reshape(counted, [1, B * T])));
      const highest = max(where(member, flat, -FAR), { axis: 1 });
      const least = neg(max(where(member, neg(flat), -FAR), { axis: 1 }));
      const varies = lt(least, highest);
      const scale = where(varies, recip(where(varies, sub(highest, least), 1)), 0);
      return mul(mul(sub(values, spread(least)), spread(scale)), counted);
    },
    ranks: (scores) => {
      const [mine, other] = [unsqueeze(scores, 2), unsqueeze(scores, 1)];
      const ahead = where(eq(mine, other), before, cast(lt(mine, other), 'f32'));
      return sum(mul(ahead, together()), { axis: 2 });
    },
    get places() {
      return sum(mul(before, together()), { axis: 2 });
    },
  };
}
