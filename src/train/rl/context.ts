import type { Settings, Tokenizer } from '../../contracts/index.js';
import type { JsonValue } from '../../data/stream/batch.js';
import type { Completion, Sampling } from '../../infer/index.js';
import type { NDArray } from '../../tensor/array.js';
import type { Tensor } from '../../tensor/graph.js';
import type { SlotName } from './contract.js';
import type { TaskTable } from './taskTable.js';

/** What every part of a recipe states, and what its host stages are given. Legend: B rows, T tokens, V vocabulary, D hidden size. */

/** Extra things that the loop computes only where a slot of the recipe asks for them. */
export type Need =
  /** log-probabilities of the reference policy: `batch.reference_logp`, and `reference_logp` in the graph */
  | 'reference'
  /** the reference policy itself in the graph: `reference.logits()` */
  | 'reference-policy'
  /** the policy as it was before the first update of this step: `old.logits()` */
  | 'old-policy'
  /** sums over sequences in the graph (`sequence`): samples are kept whole within a part of a batch */
  | 'sequences'
  /** sums over groups in the graph (`sequence.groupSum`): groups are kept whole */
  | 'groups';

/** What an implementation of a slot states about itself. */
export interface Part<S = unknown> {
  /** for messages and for its state in checkpoints; unique within a recipe */
  readonly name: string;
  /** settings that it reads, with defaults; those of all parts of a recipe are one record */
  readonly defaults?: Settings;
  readonly needs?: readonly Need[] | ((settings: Settings) => readonly Need[]);
  /** State before the first step: plain JSON that the part changes in place; checkpoints carry it. Absent = none. */
  init?(): S;
}

/** What every host stage gets. */
export interface HostContext<S = unknown> {
  /** steps done before this one */
  readonly step: number;
  /** share of the run that is done, by steps or by the budget of generated tokens, whichever is further */
  readonly progress: number;
  /** all settings of the recipe, as they stand in this step (see phases) */
  readonly settings: Settings;
  /** A setting that is a number. @throws VitroError where it is none */
  number(name: string): number;
  /** the part's own state */
  readonly state: S;
  /** The context of another part, e.g. of the one that a wrapper holds. `slot` names the one that keeps its state, for a store that parts of several slots share. */
  of<T>(part: Part<T>, slot?: SlotName): HostContext<T>;
  /** numbers that are kept for every problem of the data set, under names that the parts share */
  readonly tasks: TaskTable;
  /** Random key (u32 [2]) for a purpose: of this step, or of the whole run; equal in equal runs. */
  key(purpose: string, of?: 'step' | 'run'): NDArray;
  /** the user's reward functions with their weights */
  readonly rewards: readonly NamedReward[];
  /** whether a token ends a completion */
  readonly eos: ReadonlySet<number>;
  readonly policy: PolicyService;
  readonly tokenizer: Tokenizer;
  /** Adds a metric to this step's line of the log. */
  metric(name: string, value: number): void;
  /** Explains something to the user, once a run for equal texts. */
  note(text: string): void;
}

/** A request for completions of one context. */
export interface GenerateRequest {
  readonly context: Int32Array;
  /** default 1 */
  readonly n?: number;
  /** names the request for its random numbers; equal ids in one call draw alike */
  readonly id: number;
}

export interface GenerateOptions {
  /** default: the setting max_completion_length */
  readonly max_tokens?: number;
  /** default: the recipe's policyView */
  readonly sampling?: Sampling;
  /** ends of a completion beside eos */
  readonly stop?: readonly string[];
  /** distinguishes several calls of one step; default '' */
  readonly purpose?: string;
  /** whose completions; the reference (with the need 'reference') is frozen. Default: the policy's */
  readonly which?: 'policy' | 'reference';
}

/** Tokens behind a context, to be scored. */
export interface Sequence {
  readonly context: Int32Array;
  readonly tokens: Int32Array;
}

/** Per-token values [B, T] or [B, T, ...] that a forward pass computes; entry (b, t) belongs to the token that position t predicts. */
export interface Measure {
  /** equal names mean equal graphs */
  readonly name: string;
  tensor(policy: PolicyTensors): Tensor;
}

/** The policy as host stages use it. Calls see the weights of the moment. */
export interface PolicyService {
  /** Completions by request. */
  generate(requests: readonly GenerateRequest[], options?: GenerateOptions): Promise<Completion[][]>;
  /** Log-probabilities of the tokens of each sequence under the policy or the reference, in nats. */
  logps(sequences: readonly Sequence[], which?: 'policy' | 'reference'): Promise<Float64Array[]>;
  /** Values of a measure at the tokens of each sequence; those with a further axis come row after row. */
  measure(sequences: readonly Sequence[], measure: Measure, which?: 'policy' | 'reference'): Promise<Float64Array[]>;
  /**
   * Runs `use` with weights moved by `rate` times the gradient of sum(weights * logp) over the tokens of the sequences; afterwards they are what they
   * were. A temporary update, for exploration and look-ahead.
   */
  nudged<T>(sequences: readonly (Sequence & { readonly weights: ArrayLike<number> })[], rate: number, use: () => Promise<T>): Promise<T>;
}

/** A policy inside the graph, on the tokens of a batch. */
export interface PolicyTensors {
  /** log-probability of each target [B, T]; 0 where nothing is predicted */
  readonly logp: Tensor;
  /** under the policyView: [B, T, V], computed only where somebody asks */
  logits(): Tensor;
  /** [B, T] */
  entropy(): Tensor;
  /** last hidden states [B, T, D] */
  hidden(): Tensor;
  /** i32 [B, T]: the tokens that are predicted; below 0 where none is */
  readonly targets: Tensor;
}

/** A reward function as the metrics name it. */
export interface NamedReward {
  readonly name: string;
  readonly score: RewardFunction;
  /** default 1 */
  readonly weight?: number;
}

/** A function of completions: a number for each, or null where it does not apply. Columns of the data come as arrays. */
export type RewardFunction = (
  prompts: readonly string[],
  completions: readonly string[],
  columns: Readonly<Record<string, readonly JsonValue[]>>,
) => readonly (number | null)[] | Promise<readonly (number | null)[]>;
