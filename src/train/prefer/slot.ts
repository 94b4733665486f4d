import type { Limit, ParamSpec, Settings } from '../../contracts/index.js';
import type { CausalModel } from '../../models/index.js';
import type { ParamTree } from '../../nn/param.js';
import type { Tensor } from '../../tensor/graph.js';
import type { BatchTensors, ObjectiveSizes } from '../objective/slot.js';
import type { PatchMethod } from '../patch.js';
import type { Sequences } from '../sequences.js';
import type { TokenView } from '../tokenView.js';

/**
 * The slot "preference loss": what learning from chosen and rejected responses minimises,
 *   r(y) = reward of the summed, weighted log-probabilities of a response,   L = sum_i m_i w_i l(r_i+, r_i-) / sum_i m_i + a
 * with the parts tokenWeight, reward (r), loss (l), select (m), pairWeight (w) and auxiliary (a). A method names the parts that it replaces in its
 * parent, and whether a reference model is read at all.
 *
 * Legend: B rows, T tokens, E examples, S sequences; of a pair, sequence 0 is chosen and 1 rejected.
 */

/** The slot, for the generated index. */
export const slot = { id: 'preference-loss', record: 'preferences', summary: 'what learning from preferred responses minimises' } as const;

/** The parts of the loss, in the order in which they are computed. `reference` and `pairing` are values, the others functions. */
export const preferParts = ['reference', 'pairing', 'tokenWeight', 'reward', 'loss', 'select', 'pairWeight', 'auxiliary', 'specs'] as const;

/** What a part gets. Everything is computed at its first use. */
export interface PreferContext {
  readonly model: CausalModel;
  readonly params: ParamTree<Tensor>;
  /** the method's own parameters */
  readonly own: ParamTree<Tensor>;
  readonly batch: BatchTensors;
  readonly sequences: Sequences;
  /** arrays of the batch beside its tokens: the columns of the examples [E, width], and what the source gives */
  readonly extra: Readonly<Record<string, Tensor>>;
  readonly policy: TokenView;
  /** log-probabilities [B, T] of the targets under the reference; zeros where the recipe has none */
  readonly reference: Tensor;
  /** parameters of the reference, where it is given as a model */
  readonly referenceParams: ParamTree<Tensor> | undefined;
  /** sums [S] of the policy's log-probabilities, weighted by the part tokenWeight */
  readonly logps: Tensor;
  /** the same of the reference; zeros where there is none */
  readonly referenceLogps: Tensor;
  /** rewards [S]: the part reward */
  readonly rewards: Tensor;
  /** rewards of chosen less those of rejected [E] */
  readonly margins: Tensor;
  /** losses [E]: the part loss */
  readonly losses: Tensor;
  /** a column of the examples that has one number each, [E] */
  column(name: string): Tensor;
  /** Gradient of a scalar of the policy by the embeddings [B, T, D] of the batch; `of` gets the view in which the embeddings are free. */
  embeddingGradient(of: (view: TokenView) => Tensor): Tensor;
  readonly settings: Settings;
  readonly progress: Tensor;
  readonly key: Tensor;
}

/** A published preference loss: a patch on its parent. `inner` gives what the part was beneath, for parts named in `wraps`. */
export interface PreferMethod extends PatchMethod {
  readonly limits: readonly Limit[];
  /** a reference model is read (`given`: the starting model, another one, or log-probabilities in the data) or not (`none`) */
  readonly reference?: 'given' | 'none';
  /** pairs of a chosen and a rejected response (default), or responses with a label beside a mismatched one */
  readonly pairing?: 'pairs' | 'unpaired';
  readonly needs?: readonly 'logits'[];
  /** columns that the examples must have, with what they hold */
  readonly columns?: Readonly<Record<string, string>>;
  /** passes forward and backward through a model beside the policy's own, for the ledger */
  passes?(settings: Settings): number;
  /** parameters that are trained with the model and thrown away */
  specs?(sizes: ObjectiveSizes, settings: Settings): ParamTree<ParamSpec>;
  /** weights [B, T] of the tokens */
  tokenWeight?(context: PreferContext, inner: () => Tensor): Tensor;
  /** implicit rewards [S] */
  reward?(context: PreferContext, inner: () => Tensor): Tensor;
  /** losses [E] */
  loss?(context: PreferContext, inner: () => Tensor): Tensor;
  /** 0 or 1 [E]: examples that count */
  select?(context: PreferContext, inner: () => Tensor): Tensor;
  /** weights [E] of the examples, which do not change what the sum is divided by */
  pairWeight?(context: PreferContext, inner: () => Tensor): Tensor;
  /** a term that is added, a scalar */
  auxiliary?(context: PreferContext, inner: () => Tensor): Tensor;
}
