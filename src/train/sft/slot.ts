import type { Limit, Settings } from '../../contracts/index.js';
import type { CausalModel } from '../../models/index.js';
import type { ParamTree } from '../../nn/param.js';
import type { Tensor } from '../../tensor/graph.js';
import type { FrozenRule } from '../frozen.js';
import type { BatchTensors } from '../objective/slot.js';
import type { PatchMethod } from '../patch.js';
import type { Sequences } from '../sequences.js';
import type { TokenView } from '../tokenView.js';

/**
 * The slot "SFT loss": what fine-tuning on demonstrations minimises,
 *   L = sum_t m_t w_t l_t / sum_t m_t + a
 * with the parts target (l), weight (w), mask (m) and auxiliary (a); `embed` changes the embeddings before the first layer. A method names the parts
 * that it replaces in its parent; methods are applied one after the other (`dft+neftune`), and two that replace the same part clash.
 *
 * Legend: B rows, T tokens, D hidden size, V vocabulary.
 */

/** The slot, for the generated index. */
export const slot = { id: 'sft-loss', record: 'sfts', summary: 'what fine-tuning on demonstrations minimises' } as const;

/** The parts of the loss, in the order in which they are computed. */
export const sftParts = ['embed', 'target', 'weight', 'mask', 'auxiliary'] as const;

/** What a part gets. Everything is computed at its first use. */
export interface SftContext {
  readonly model: CausalModel;
  readonly params: ParamTree<Tensor>;
  readonly batch: BatchTensors;
  readonly sequences: Sequences;
  /** arrays of the batch beside its tokens */
  readonly extra: Readonly<Record<string, Tensor>>;
  /** the model that is trained; its logits only where the method needs 'logits' */
  readonly policy: TokenView;
  /** A model that the method declares in `frozen`. Nothing flows back into it. */
  frozen(name: string): TokenView;
  /** Attention [B, H, T, T] of a layer (negative numbers count from the last) of the policy, without gradient; needs 'attention'. */
  attention(layer: number): Tensor;
  readonly settings: Settings;
  /** share of the run that is done, a scalar */
  readonly progress: Tensor;
  /** key of this step (u32 [2]); every method has its own */
  readonly key: Tensor;
}

/** What the part `embed` gets. */
export interface SftEmbedContext {
  readonly sequences: Sequences;
  /** number of tokens of the sequence that a position belongs to, prompt included, f32 [B, T]; 0 at padding */
  readonly sequence_length: Tensor;
  readonly settings: Settings;
  readonly key: Tensor;
}

/** A limit of this slot: losses and gradients are equal, or with `of: 'gradient'` the gradients alone. */
export interface SftLimit extends Limit {
  readonly of?: 'gradient';
}

/** A published loss for fine-tuning: a patch on its parent. `inner` gives what the part was beneath, for parts named in `wraps`. */
export interface SftMethod extends PatchMethod {
  readonly limits: readonly SftLimit[];
  /** statistics that cost something: the logits of all tokens, the attention of a layer */
  readonly needs?: readonly ('logits' | 'attention')[];
  /** models that the loss reads beside the policy, by name, and what becomes of them during the run */
  frozen?(settings: Settings): Readonly<Record<string, FrozenRule>>;
  /** embeddings [B, T, D] of the policy's input -> the same shape */
  embed?(embeddings: Tensor, context: SftEmbedContext): Tensor;
  /** loss [B, T] of every position */
  target?(context: SftContext, inner: () => Tensor): Tensor;
  /** weight [B, T] of every position; parts stop their own gradients */
  weight?(context: SftContext, inner: () => Tensor): Tensor;
  /** 0 or 1 [B, T]: which positions count */
  mask?(context: SftContext, inner: () => Tensor): Tensor;
  /** a term that is added, a scalar */
  auxiliary?(context: SftContext, inner: () => Tensor): Tensor;
}
