import type { Method, ParamSpec, Settings } from '../../contracts/index.js';
import type { Batch } from '../../data/index.js';
import type { CausalModel, DecoderView } from '../../models/index.js';
import type { ParamTree } from '../../nn/param.js';
import type { NDArray } from '../../tensor/array.js';
import type { Tensor } from '../../tensor/graph.js';

/**
 * The slot "pretraining objective": the loss of a batch of tokens. Validation always measures next-token cross-entropy, whatever was trained.
 *
 * Legend: B batch, T tokens, D hidden size, V vocabulary.
 */

/** The slot, for the generated index. */
export const slot = { id: 'objective', record: 'objectives', summary: 'the loss that pretraining minimises' } as const;

/** A batch inside the graph: i32 [B, T]; targets below 0 do not count. */
export interface BatchTensors {
  readonly inputs: Tensor;
  readonly targets: Tensor;
  readonly segment_ids?: Tensor;
  readonly positions?: Tensor;
}

/** What an objective gets to build its loss. */
export interface ObjectiveContext {
  readonly model: CausalModel;
  readonly params: ParamTree<Tensor>;
  /** the objective's own parameters (empty where `specs` is absent) */
  readonly own: ParamTree<Tensor>;
  readonly batch: BatchTensors;
  /** arrays of the batch beside its tokens, by name: from the data source and from `prepare` (empty where there are none) */
  readonly extra: Readonly<Record<string, Tensor>>;
  /** parameters that are read and not trained, by name; absent where the loop has none */
  readonly frozen?: Readonly<Record<string, ParamTree<Tensor>>>;
  /** Last hidden states [B, T, D] of the batch, seen in another way if `view` says so; the default view is computed once. */
  hidden(view?: DecoderView): Tensor;
  /** key of this step (u32 [2]), for random choices */
  readonly key: Tensor;
  /** share of the run that is done, 0 to 1, a scalar */
  readonly progress: Tensor;
  readonly settings: Settings;
}

export interface ObjectiveLoss {
  /** scalar in nats, a mean over the counted targets */
  readonly loss: Tensor;
  /** number of items that the loss is a mean over, a scalar; default: the counted targets. Batches whose gradients add up are weighted by it */
  readonly count?: Tensor;
  /** scalars for the log, e.g. the parts of the loss */
  readonly metrics?: Readonly<Record<string, Tensor>>;
}

/** Sizes that an objective's own parameters and host stage depend on. */
export interface ObjectiveSizes {
  readonly model: CausalModel;
  readonly batch_size: number;
  readonly context: number;
  /** examples in the training data, where parameters belong to them */
  readonly examples?: number;
}

export interface ObjectiveMethod extends Method {
  /** parameters beside the model's (auxiliary heads); they are trained with it and left out of the exported model */
  specs?(sizes: ObjectiveSizes, settings: Settings): ParamTree<ParamSpec>;
  /** Host stage: arrays that the loss needs beside the tokens, from the batch alone (so that runs resume exactly). Fixed shapes from step to step. */
  prepare?(batch: Batch, sizes: ObjectiveSizes, settings: Settings): Readonly<Record<string, NDArray>>;
  loss(context: ObjectiveContext): ObjectiveLoss;
  /** forward and backward operations of one step, beside those of one pass through the model over the batch */
  extraFlops?(sizes: ObjectiveSizes, settings: Settings): number;
}
