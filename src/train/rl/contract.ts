import type { ParamSpec, Settings } from '../../contracts/index.js';
import type { JsonValue } from '../../data/stream/batch.js';
import type { Sampling } from '../../infer/index.js';
import type { CausalModel } from '../../models/index.js';
import type { ParamTree } from '../../nn/param.js';
import type { NDArray } from '../../tensor/array.js';
import type { Tensor } from '../../tensor/graph.js';
import type { RolloutBatch } from './batch.js';
import type { HostContext, Part, PolicyTensors, Sequence } from './context.js';
import type { SequenceOps } from './sequenceOps.js';
import type { Prompt, Sample, ScoredSample, Trajectory } from './trajectory.js';

export type * from './context.js';

/**
 * The sixteen slots of reinforcement learning with verifiable rewards. `prompts` to `advantage`, `update` and `phases` run on the host in float64;
 * `surrogate`, `aggregate`, `penalty`, `auxiliary`, `learners` and `policyView` build graph functions.
 *
 * Legend: N samples, K tokens of all samples; in the graph B rows, T tokens of a row, V vocabulary, D hidden size, S sequences.
 */

/** Which problems come next. */
export interface Prompts<S = unknown> extends Part<S> {
  /** `count` problems; indices of the data set or problems that the method makes itself */
  next(count: number, dataset: PromptDataset, context: HostContext<S>): Promise<readonly Prompt[]> | readonly Prompt[];
  /** Sees every scored batch before filter and buffer. */
  observe?(batch: RolloutBatch, context: HostContext<S>): void;
}

export interface PromptDataset {
  readonly length: number;
  prompt(i: number): Prompt;
}

/** A problem as the rollout gets it. */
export interface Scaffolded {
  readonly prompt: Prompt;
  /** tokens that the policy continues: the problem's, with hints or prefixes */
  readonly context: Int32Array;
  /** what training scores the completion behind instead; absent = `context` */
  readonly replay_context?: Int32Array;
  /** text at the end of `context` that completions continue: what rewards read begins with it */
  readonly prefix?: string;
  readonly notes?: Readonly<Record<string, JsonValue>>;
}

/** Changes what the policy sees of a problem. */
export interface Scaffold<S = unknown> extends Part<S> {
  apply(prompts: readonly Prompt[], context: HostContext<S>): Promise<readonly Scaffolded[]> | readonly Scaffolded[];
}

export interface RolloutContext<S = unknown> extends HostContext<S> {
  /** completions of each problem */
  readonly num_generations: number;
  /** Rewards of trajectories as the recipe gives them (each compared with these only). */
  score(trajectories: readonly Trajectory[]): Promise<Float64Array>;
  /** The recipe's scaffold for prompts that are asked again. */
  scaffold(prompts: readonly Prompt[]): Promise<readonly Scaffolded[]>;
}

/** How the group of a problem is sampled. */
export interface Rollout<S = unknown> extends Part<S> {
  /** whether answers have to be sampled in this way after training, too (see rolloutSamples); otherwise plain decoding is meant */
  readonly decodes?: true;
  sample(prompts: readonly Scaffolded[], context: RolloutContext<S>): Promise<readonly Trajectory[]>;
}

/** What is compared with what. */
export interface Grouping<S = unknown> extends Part<S> {
  samples(trajectories: readonly Trajectory[], context: HostContext<S>): readonly Sample[];
}

/** Rewards of samples; sees whole groups. */
export interface Reward<S = unknown> extends Part<S> {
  score(samples: readonly Sample[], context: HostContext<S>): Promise<readonly ScoredSample[]> | readonly ScoredSample[];
}

/** Which samples train. */
export interface Filter<S = unknown> extends Part<S> {
  /** numbers of the samples to keep */
  keep(batch: RolloutBatch, context: HostContext<S>): readonly number[];
  /** Whether the loop samples further problems until as many groups are kept as were asked for (dynamic sampling). */
  readonly refill?: boolean;
}

/** Exchanges samples with a store. */
export interface Buffer<S = unknown> extends Part<S> {
  /** What this step trains on, given its fresh samples. Replayed ones keep the log-probabilities that they were drawn with. */
  exchange(fresh: RolloutBatch, context: HostContext<S>): Promise<readonly ScoredSample[]> | readonly ScoredSample[];
}

/** Credit: rewards to advantages. */
export interface Advantage<S = unknown> extends Part<S> {
  /** What credit needs from the policy (forward passes, judges), as columns of the batch; runs before `compute`. */
  prepare?(batch: RolloutBatch, context: HostContext<S>): Promise<void>;
  /** [N] (every token of a sample alike) or [K] */
  compute(batch: RolloutBatch, context: HostContext<S>): Float64Array;
}

/** What losses get. Everything [B, T] stands at the position that predicts the token. */
export interface LossContext {
  readonly policy: PolicyTensors;
  readonly old_logp: Tensor;
  readonly advantage: Tensor;
  /** f32: 1 at tokens that the policy chose and that train */
  readonly mask: Tensor;
  /** weight of each token's loss, from `aggregate`; sums are over the whole minibatch, whatever its parts */
  readonly weight: Tensor;
  /** with the need 'reference' */
  readonly reference_logp: Tensor;
  /** with the need 'reference-policy' */
  readonly reference: PolicyTensors;
  /** with the need 'old-policy' */
  readonly old: PolicyTensors;
  /** with the need 'sequences' or 'groups' */
  readonly sequence: SequenceOps;
  /** f32 [B, T] of a batch column or of one that a host stage made. @throws VitroError where there is none */
  column(name: string): Tensor;
  /** A setting that is a number, as a scalar of the graph: another value compiles nothing anew. */
  knob(name: string): Tensor;
  /** settings when the graph was made; a number that is read here, and not by `knob`, is a constant of the graph */
  readonly settings: Settings;
  readonly model: CausalModel;
  readonly params: ParamTree<Tensor>;
  /** parameters of a learner by its name */
  learner(name: string): ParamTree<Tensor>;
  /** key of this step (u32 [2]) */
  readonly key: Tensor;
  /** share of the run that is done, a scalar */
  readonly progress: Tensor;
}

export interface TokenLoss {
  /** [B, T] */
  readonly loss: Tensor;
  readonly metrics?: Readonly<Record<string, Tensor>>;
}

/** What a host stage between forward and backward sees: the tokens of a minibatch that train, in one row [M] each. */
export interface MinibatchView {
  readonly logp: Float64Array;
  readonly old_logp: Float64Array;
  readonly advantage: Float64Array;
  /** number of the sample of each token, from 0 */
  readonly sample: Int32Array;
  column(name: string): Float64Array;
}

export interface StageResult {
  /** settings to use for this minibatch, e.g. clip bounds */
  readonly knobs?: Readonly<Record<string, number>>;
  /** [M] each: columns for the graph */
  readonly columns?: Readonly<Record<string, Float64Array>>;
}

/** The objective of a token, to be minimised. */
export interface Surrogate<S = unknown> extends Part<S> {
  loss(context: LossContext): TokenLoss;
  /** Runs between forward and backward of every minibatch; costs a forward pass. */
  stage?(view: MinibatchView, context: HostContext<S>): StageResult;
}

/** How token losses become one. */
export interface Aggregate<S = unknown> extends Part<S> {
  /** Weight of each token of samples that train, by the lengths of all samples of the minibatch: the loss is sum(weight * token loss). */
  weights(lengths: Float64Array, settings: Settings): Float64Array;
  /** Where the loss is not such a sum: a scalar from the token losses of one part of a minibatch. Parts are added up. */
  reduce?(loss: Tensor, context: LossContext): Tensor;
}

/** A term beside the surrogate at every token, its coefficient included; null where the settings switch it off. */
export interface Penalty<S = unknown> extends Part<S> {
  loss(context: LossContext): TokenLoss;
  /** whether it is there at these settings, so that nothing is computed for it where it is not; default: yes */
  active?(settings: Settings): boolean;
}

/** Tokens of an auxiliary loss, packed beside the rollouts. */
export interface AuxiliarySequence extends Sequence {
  /** [tokens]; the loss is sum(weights * token loss) */
  readonly weights: ArrayLike<number>;
  /** further values for the graph, [tokens] each */
  readonly columns?: Readonly<Record<string, ArrayLike<number>>>;
}

/** A loss on sequences of its own (demonstrations, rehearsal). */
export interface Auxiliary<S = unknown> extends Part<S> {
  sequences(batch: RolloutBatch, context: HostContext<S>): Promise<readonly AuxiliarySequence[]> | readonly AuxiliarySequence[];
  /** Token losses [B, T]; default: -logp. `context.weight` holds the sequences' own weights. */
  loss?(context: LossContext): TokenLoss;
}

/** Parameters beside the policy's that are trained in its step: a value head, a critic, a discriminator. */
export interface Learner<S = unknown> extends Part<S> {
  specs(model: CausalModel, settings: Settings): ParamTree<ParamSpec>;
  /** Predictions [B, T], one for each token from what stands before it; they become the batch column of the learner's name before `advantage`. */
  predict(policy: PolicyTensors, own: ParamTree<Tensor>, context: Pick<LossContext, 'model' | 'settings'>): Tensor;
  /** Token losses [B, T] with their coefficient; the loss is their mean over the tokens that train. */
  loss(context: LossContext): TokenLoss;
}

export interface UpdateContext<S = unknown> extends HostContext<S> {
  readonly batch: RolloutBatch;
  /** One optimizer step on these samples. `rate` multiplies the learning rate (default 1). */
  train(samples: readonly number[], options?: { readonly rate?: number }): Promise<Readonly<Record<string, number>>>;
  readonly parameters: {
    /** A copy of the policy's weights. */
    snapshot(): ParamTree<NDArray>;
    /** weights = from + alpha (weights - from) */
    interpolate(from: ParamTree<NDArray>, alpha: number): void;
  };
}

/** Epochs, minibatches, inner and outer steps. */
export interface Update<S = unknown> extends Part<S> {
  run(context: UpdateContext<S>): Promise<void>;
}

/** A transform of the policy's logits, for sampling and for training alike. */
export interface PolicyView<S = unknown> extends Part<S> {
  /** how rollouts draw */
  sampling(settings: Settings): Sampling;
  /** logits are divided by it in training */
  temperature(settings: Settings): number;
  /** a further transform of the logits [B, T, V] in training; those of the whole vocabulary are then kept */
  logits?(logits: Tensor, context: Pick<LossContext, 'knob' | 'settings'>): Tensor;
}

/** What changes at the start of a step. */
export interface PhaseChange {
  /** settings from here on */
  readonly settings?: Settings;
  /** the reference becomes the policy of the moment */
  readonly reset_reference?: boolean;
  /** moments and step counts of the optimizer start anew */
  readonly reset_optimizer?: boolean;
}

/** Stages, schedules and resets. */
export interface Phases<S = unknown> extends Part<S> {
  at(context: HostContext<S>): PhaseChange | undefined;
}

/** One implementation for every slot: a recipe. */
export interface RlSlots {
  readonly prompts: Prompts;
  readonly scaffold: Scaffold;
  readonly rollout: Rollout;
  readonly grouping: Grouping;
  readonly reward: Reward;
  readonly filter: Filter;
  readonly buffer: Buffer;
  readonly advantage: Advantage;
  readonly surrogate: Surrogate;
  readonly aggregate: Aggregate;
  readonly penalty: Penalty;
  readonly auxiliary: readonly Auxiliary[];
  readonly update: Update;
  readonly learners: readonly Learner[];
  readonly policyView: PolicyView;
  readonly phases: readonly Phases[];
}

export type SlotName = keyof RlSlots;
