import type { Method, ParamSpec, Settings } from '../../contracts/index.js';
import type { NDArray } from '../../tensor/array.js';
import type { Tensor } from '../../tensor/graph.js';

/**
 * The slot "gradient transform" (after optax): what happens to gradients between the backward pass and the parameters.
 * A transform builds graph nodes, so the whole optimizer is part of the compiled training step and its state stays in the engine's buffers.
 *
 * Legend: g gradient, p parameter, u update (added to p), m and v running moments; all are records by the parameter's dotted path.
 */

/** The slot, for the generated index. */
export const slot = {
  id: 'optimizer',
  record: 'optimizers',
  summary: 'what becomes of gradients before they reach the parameters',
} as const;

/** Values by parameter path, e.g. `layers.0.self_attn.q_proj.weight`. */
export type Leaves<T> = Readonly<Record<string, T>>;

/** Optimizer state: nested records of arrays; every transform names its own buffers. */
export type OptState<T> = T | { readonly [key: string]: OptState<T> };

export interface TransformContext {
  readonly params: Leaves<Tensor>;
  readonly specs: Leaves<ParamSpec>;
  /** scalars that change over a run without a new compilation: the scheduled learning rates, by the name of their setting */
  readonly rates: Readonly<Record<string, Tensor>>;
  /** what methods need that look at the loss or draw random numbers; training loops give it, see `probeOf` */
  readonly probe?: LossProbe;
}

export interface LossProbe {
  /** key of this step (u32 [2]), for random directions; differs from step to step, equal for equal seeds */
  readonly key: Tensor;
  /** mean loss of this step's batch at other parameters (all paths of `params`), a scalar */
  lossAt(params: Leaves<Tensor>): Tensor;
}

export interface GradientTransform {
  /** State before the first step, on the host. */
  init(specs: Leaves<ParamSpec>): OptState<NDArray>;
  /**
   * One step. `grads` holds the parameters whose gradient the method needs (all, unless it says otherwise); `updates` has the keys of
   * `context.params` for a whole optimizer and those of `grads` for a piece of one; `state` has the structure that came in.
   */
  update(grads: Leaves<Tensor>, state: OptState<Tensor>, context: TransformContext): { updates: Leaves<Tensor>; state: OptState<Tensor> };
}

/** A published optimizer: a method of this slot. */
export interface OptimizerMethod extends Method {
  /** settings that the schedule multiplies; they reach the graph as `rates` */
  readonly rates: readonly string[];
  /** the transform at full settings (defaults overridden by the user's) */
  create(settings: Settings): GradientTransform;
  /** whether the backward pass has to give this parameter's gradient; absent = all of them. Where it says false, `grads` lacks the path. */
  needsGradient?(spec: ParamSpec, path: string, settings: Settings): boolean;
  /** evaluations of the loss by `lossAt` in one step, for the ledger; absent = none */
  lossEvaluations?(settings: Settings): number;
  /** floating-point operations of one step over these parameters, for the ledger */
  flops(specs: Leaves<ParamSpec>, settings: Settings): number;
}
