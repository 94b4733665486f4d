import type { Limit, ParamSpec, Settings } from '../../contracts/index.js';
import type { CausalModel } from '../../models/index.js';
import type { ParamTree } from '../../nn/param.js';
import type { Tensor } from '../../tensor/graph.js';
import type { BatchTensors, ObjectiveSizes } from '../objective/slot.js';
import type { PatchMethod } from '../patch.js';
import type { Sequences } from '../sequences.js';

/**
 * The slot "reward model": a head on a language model's hidden states and how it learns.
 *   L = sum_i m_i l_i / sum_i m_i + a
 * with the parts head (what the model says of every response, or of every token), loss (l), auxiliary (a) and score (one number for a response, for
 * use after training).
 *
 * Legend: B rows, T tokens, D hidden size, E examples, S sequences (of a pair, 0 is chosen and 1 rejected), K outputs of the head.
 */

/** The slot, for the generated index. */
export const slot = { id: 'reward-model', record: 'rewardModels', summary: 'a head that judges responses, and how it learns' } as const;

/** The parts, in the order in which they are computed. */
export const rewardParts = ['specs', 'head', 'loss', 'auxiliary', 'score'] as const;

/** What a part gets. Everything is computed at its first use. */
export interface RewardContext {
  readonly model: CausalModel;
  readonly params: ParamTree<Tensor>;
  /** parameters of the head */
  readonly own: ParamTree<Tensor>;
  readonly batch: BatchTensors;
  readonly sequences: Sequences;
  readonly extra: Readonly<Record<string, Tensor>>;
  /** last hidden states [B, T, D] */
  readonly hidden: Tensor;
  /** hidden states at the last token of every sequence [S, D] */
  readonly last: Tensor;
  /** what the part head gives: [S, K], or [B, T] for heads that judge steps */
  readonly outputs: Tensor;
  /** what the part score gives: [S] */
  readonly scores: Tensor;
  /** a column of the examples [E, width] */
  column(name: string): Tensor;
  readonly settings: Settings;
}

/** A published reward model: a patch on its parent. `inner` gives what the part was beneath, for parts named in `wraps`. */
export interface RewardMethod extends PatchMethod {
  readonly limits: readonly Limit[];
  /** what it learns from: pairs of responses, or the steps of single ones */
  readonly data?: 'pairs' | 'steps';
  /** columns of the examples that are read, with what they hold */
  readonly columns?: Readonly<Record<string, string>>;
  /** parameters of the head */
  specs?(sizes: ObjectiveSizes, settings: Settings): ParamTree<ParamSpec>;
  head?(context: RewardContext, inner: () => Tensor): Tensor;
  /** losses [E] */
  loss?(context: RewardContext, inner: () => Tensor): Tensor;
  auxiliary?(context: RewardContext, inner: () => Tensor): Tensor;
  /** rewards [S] of whole responses */
  score?(context: RewardContext, inner: () => Tensor): Tensor;
}
