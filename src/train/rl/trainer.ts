import type { Settings } from '../../contracts/index.js';
import type { CausalModel } from '../../models/index.js';
import type { ParamTree } from '../../nn/param.js';
import type { NDArray } from '../../tensor/array.js';
import { VitroError } from '../../tensor/errors.js';
import { foldIn } from '../../tensor/random/threefry.js';
import { mapTree, type Tree, treeEntries } from '../../tensor/tree.js';
import type { Frozen, StepOptions, TrainState, TrainStep } from '../step.js';
import { trainStep } from '../step.js';
import type { RolloutBatch } from './batch.js';
import type { RlRecipe } from './compose.js';
import type { MinibatchView, Need, StageResult, Surrogate } from './contract.js';
import type { Host } from './host.js';
import { type AuxiliaryBatch, type Minibatch, minibatchExtra, packMinibatch } from './minibatch.js';
import { rlObjective } from './objective.js';
import type { Policy } from './policy.js';
import type { Stopwatch } from './stopwatch.js';

export const copyParams = (params: ParamTree<NDArray>): ParamTree<NDArray> =>
  mapTree(params as Tree<NDArray>, (p) => p.clone()) as unknown as ParamTree<NDArray>;

export interface TrainerOptions extends Pick<StepOptions, 'optimizer' | 'max_grad_norm' | 'threads'> {
  readonly model: CausalModel;
  readonly recipe: RlRecipe;
  readonly needs: ReadonlySet<Need>;
  readonly host: Host;
  readonly watch: Stopwatch;
  readonly policy: () => Policy;
  /** counts the tokens of a step, padding included */
  trained(tokens: number, seconds: number): void;
}

/** What one optimizer step of the update slot reads. */
export interface TrainInput {
  readonly batch: RolloutBatch;
  readonly samples: readonly number[];
  readonly auxiliary: readonly AuxiliaryBatch[];
  readonly frozen: Frozen<NDArray>;
  readonly rates: Readonly<Record<string, number>>;
  readonly progress: number;
  /** number of the optimizer step within its rollout */
  readonly turn: number;
}

/** Optimizer steps on minibatches: packs, runs the host stage between forward and backward, and the compiled step. */
export class RlTrainer {
  readonly step: TrainStep;
  readonly model: CausalModel;
  readonly objective: StepOptions['objective'];
  readonly sizes: StepOptions['sizes'];
  #state: TrainState<NDArray> | undefined;

  constructor(readonly options: TrainerOptions) {
    const { model, recipe, optimizer, max_grad_norm, threads } = options;
    this.model = model;
    this.sizes = { model, batch_size: 1, context: model.context };
    this.objective = { method: rlObjective(recipe), settings: {} };
    const { objective, sizes } = this;
    this.step = trainStep({ model, objective, optimizer, sizes, max_grad_norm, ema_decay: 0, threads });
  }

  /** Weights and optimizer; set before the first step. */
  get state(): TrainState<NDArray> {
    if (!this.#state) throw new VitroError('rl: the trainer has no weights yet');
    return this.#state;
  }
  set state(state: TrainState<NDArray>) {
    this.#state = state;
  }

  async train(input: TrainInput): Promise<Record<string, number>> {
    const { model, recipe, needs, host, watch } = this.options;
    const { batch, samples, auxiliary, frozen, rates, progress, turn } = input;
    const { slots } = recipe;
    const minibatch = packMinibatch(batch, samples, auxiliary, needs, {
      context: model.context,
      max_tokens: host.number('max_batch_tokens'),
    });
    if (minibatch.parts.length === 0) return {};
    const stage = await this.#stage(slots.surrogate, batch, minibatch);
    const temperature = slots.policyView.temperature(host.settings);
    const extra = minibatchExtra({ batch, minibatch, slots, settings: host.settings, needs, temperature, stage });
    const key = foldIn(host.key('update'), turn);
    const batches = minibatch.parts.map((p) => p.batch);
    const began = performance.now();
    const { state, metrics } = await watch.time('train', () => this.step.run(this.state, { batches, extra, frozen, rates, key, progress }));
    this.state = state;
    this.options.trained(
      minibatch.parts.reduce((n, p) => n + p.rows * p.length, 0),
      (performance.now() - began) / 1000,
    );
    return metrics;
  }

  async #stage(surrogate: Surrogate, batch: RolloutBatch, { tokens, items }: Minibatch): Promise<StageResult | undefined> {
    if (!surrogate.stage) return undefined;
    const { host, policy } = this.options;
    const own = items.filter((i) => i.sample >= 0);
    const scored = await policy().logps(own);
    const now = new Float64Array(batch.tokens);
    for (const [i, { start }] of own.entries()) now.set(scored[i] as Float64Array, start);
    const sampleOf = new Int32Array(batch.tokens);
    for (let n = 0; n < batch.size; n++) sampleOf.fill(n, batch.span(n).start, batch.span(n).end);
    const pick = (values: Float64Array): Float64Array => Float64Array.from(tokens, (k) => values[k] as number);
    const view: MinibatchView = {
      logp: pick(now),
      old_logp: pick(batch.old_logp),
      advantage: pick(batch.advantages),
      sample: Int32Array.from(tokens, (k) => sampleOf[k] as number),
      column: (name) => pick(batch.columns[name] ?? new Float64Array(batch.tokens)),
    };
    return surrogate.stage(view, host.context('surrogate', surrogate));
  }

  /** The policy's weights, without those of learners. */
  get weights(): ParamTree<NDArray> {
    const { objective: _, ...params } = this.state.params;
    return params;
  }

  /** weights = from + alpha (weights - from), in place. */
  interpolate(from: ParamTree<NDArray>, alpha: number): void {
    const before = Object.fromEntries(treeEntries<NDArray>(from as Tree<NDArray>));
    for (const [path, p] of treeEntries<NDArray>(this.weights as Tree<NDArray>)) {
      const [now, then] = [p.data as Float32Array, before[path]?.data as Float32Array];
      for (let i = 0; i < now.length; i++) now[i] = (then[i] as number) + alpha * ((now[i] as number) - (then[i] as number));
    }
  }

  resetOptimizer(): void {
    this.state = { ...this.state, optimizer: this.step.init(this.state.params).optimizer };
  }
}

/** The optimizer's rates at a factor of the schedule. */
export const ratesAt = (rates: readonly string[], settings: Settings, factor: number): Record<string, number> =>
  Object.fromEntries(rates.map((name) => [name, Number(settings[name]) * factor]));
