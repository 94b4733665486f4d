import type { Settings, Tokenizer } from '../../contracts/index.js';
import { type Completion, DecodeEngine, type EngineOptions, generate, type Sampling } from '../../infer/index.js';
import type { CausalModel } from '../../models/index.js';
import type { ParamTree } from '../../nn/param.js';
import type { NDArray } from '../../tensor/array.js';
import { VitroError } from '../../tensor/errors.js';
import { getOrMake } from '../../tensor/getOrMake.js';
import type { Tensor } from '../../tensor/graph.js';
import { type Compiled, compile, grad } from '../../tensor/index.js';
import { add, mul } from '../../tensor/ops/elementwise.js';
import { sum } from '../../tensor/ops/reduce.js';
import { keyWords } from '../../tensor/random/threefry.js';
import { type Tree, treeEntries, treeUnflatten } from '../../tensor/tree.js';
import type { BatchTensors } from '../objective/slot.js';
import type { GenerateOptions, GenerateRequest, Learner, Measure, PolicyService, PolicyTensors, PolicyView, Sequence } from './contract.js';
import { knobArrays } from './minibatch.js';
import { knobName } from './objective.js';
import { gatherColumn, type PackedPart, packSequences, scatterColumn } from './pack.js';
import { policyTensors } from './policyTensors.js';
import type { Stopwatch } from './stopwatch.js';

/** A generation engine whose compiled calls are timed. */
class TimedEngine extends DecodeEngine {
  constructor(
    model: CausalModel,
    options: EngineOptions,
    readonly watch: Stopwatch,
  ) {
    super(model, options);
  }

  override step(...args: Parameters<DecodeEngine['step']>): ReturnType<DecodeEngine['step']> {
    return this.watch.time('decode', () => super.step(...args));
  }

  override prefill(...args: Parameters<DecodeEngine['prefill']>): ReturnType<DecodeEngine['prefill']> {
    return this.watch.time('prefill', () => super.prefill(...args));
  }
}

type Params = ParamTree<NDArray>;
type Numbers<T> = Readonly<Record<string, T>>;
type Forward = Compiled<[ParamTree<Tensor>, BatchTensors, Numbers<Tensor>], Tensor>;
type Nudge = Compiled<[ParamTree<Tensor>, ParamTree<Tensor>, BatchTensors, Tensor, Tensor, Numbers<Tensor>], ParamTree<Tensor>>;

export interface PolicyOptions extends EngineOptions {
  readonly model: CausalModel;
  readonly tokenizer: Tokenizer;
  readonly view: PolicyView;
  readonly eos: ReadonlySet<number>;
  readonly watch: Stopwatch;
  /** settings of the moment */
  settings(): Settings;
  /** the policy's weights of the moment, learners' parameters under `objective` */
  params(): Params;
  reference(): Params | undefined;
  key(purpose: string): NDArray;
  /** counts generated tokens */
  generated(tokens: number): void;
  /** counts tokens of forward passes, padding included */
  scored(tokens: number): void;
}

/** Whether sampling leaves tokens out, so that it draws from another distribution than the policy at its temperature. */
export const restricts = ({ top_k = 0, top_p = 1, min_p = 0, repetition_penalty = 1 }: Sampling): boolean =>
  top_k !== 0 || top_p !== 1 || min_p !== 0 || repetition_penalty !== 1;

const logpMeasure: Measure = { name: 'logp', tensor: ({ logp }) => logp };

/** The policy as host stages use it: generation and forward passes, with the weights of the moment. */
export class Policy implements PolicyService {
  readonly #engine: TimedEngine;
  readonly #measures = new Map<string, Forward>();
  #nudge: Nudge | undefined;
  #moved: Params | undefined;

  constructor(readonly options: PolicyOptions) {
    const { model, watch, backend, threads } = options;
    this.#engine = new TimedEngine(model, { backend, threads }, watch);
  }

  async generate(requests: readonly GenerateRequest[], given: GenerateOptions = {}): Promise<Completion[][]> {
    const { model, tokenizer, view, eos, settings, key, generated } = this.options;
    const { objective: _, ...params } = this.#params(given.which ?? 'policy');
    const words = keyWords(key(`generate ${given.purpose ?? ''}`));
    const out: Completion[][] = requests.map(() => []);
    for (const n of new Set(requests.map((r) => r.n ?? 1))) {
      const own = [...requests.keys()].filter((i) => (requests[i]?.n ?? 1) === n);
      const completions = await generate({
        model,
        params,
        prompts: own.map((i) => (requests[i] as GenerateRequest).context),
        prompt_ids: own.map((i) => (requests[i] as GenerateRequest).id),
        n,
        max_completion_length: given.max_tokens ?? Number(settings().max_completion_length),
        sampling: given.sampling ?? view.sampling(settings()),
        stop: given.stop,
        stop_token_ids: [...eos],
        tokenizer,
        seed: (BigInt(words[1]) << 32n) | BigInt(words[0]),
        engine: this.#engine,
      });
      for (const c of completions) {
        out[own[c.prompt] as number]?.push(c);
        generated(c.tokens.length);
      }
    }
    return out;
  }

  logps(sequences: readonly Sequence[], which: 'policy' | 'reference' = 'policy'): Promise<Float64Array[]> {
    return this.measure(sequences, logpMeasure, which);
  }

  async measure(sequences: readonly Sequence[], measure: Measure, which: 'policy' | 'reference' = 'policy'): Promise<Float64Array[]> {
    const { objective: _, ...params } = this.#params(which);
    return this.#forward(sequences, measure.name, params, (policy) => measure.tensor(policy));
  }

  /** A learner's predictions at the tokens of each sequence. */
  predict(sequences: readonly Sequence[], learner: Learner): Promise<Float64Array[]> {
    const { model, settings } = this.options;
    return this.#forward(sequences, `learner ${learner.name}`, this.#params('policy'), (policy, params) => {
      const own = (params.objective as unknown as Readonly<Record<string, ParamTree<Tensor>>>)[learner.name] as ParamTree<Tensor>;
      return learner.predict(policy, own, { model, settings: settings() });
    });
  }

  async nudged<T>(
    sequences: readonly (Sequence & { readonly weights: ArrayLike<number> })[],
    rate: number,
    use: () => Promise<T>,
  ): Promise<T> {
    if (this.#moved) throw new VitroError('nudged: the weights are moved already; move them by both sets of sequences at once');
    this.#nudge ??= compile(
      (at: ParamTree<Tensor>, params: ParamTree<Tensor>, batch: BatchTensors, weights: Tensor, by: Tensor, knobs: Numbers<Tensor>) => {
        const grads = grad(sum(mul(this.#tensors(params, batch, knobs).logp, weights)), params as never) as ParamTree<Tensor>;
        const slopes = treeEntries<Tensor>(grads as Tree<Tensor>);
        return treeUnflatten(
          at,
          treeEntries<Tensor>(at as Tree<Tensor>).map(([, p], i) => add(p, mul(by, (slopes[i] as [string, Tensor])[1]))),
        ) as ParamTree<Tensor>;
      },
      { name: 'temporary update', backend: this.options.backend, threads: this.options.threads },
    );
    const { objective: _, ...params } = this.options.params();
    let moved: Params = params;
    for (const part of this.#pack(sequences)) {
      const weights = scatterColumn(part, (i) => sequences[i]?.weights, { items: sequences });
      // forward and backward
      this.options.scored(3 * part.rows * part.length);
      moved = (await this.#nudge.run(
        moved as never,
        params as never,
        part.batch as never,
        weights,
        rate,
        this.#knobs(),
      )) as unknown as Params;
    }
    this.#moved = moved;
    try {
      return await use();
    } finally {
      this.#moved = undefined;
    }
  }

  #params(which: 'policy' | 'reference'): Params {
    if (which === 'policy') return this.#moved ?? this.options.params();
    const reference = this.options.reference();
    if (!reference) throw new VitroError("rl: there is no reference policy; declare needs: ['reference']");
    return reference;
  }

  #pack(sequences: readonly Sequence[]): PackedPart[] {
    const { model, settings } = this.options;
    return packSequences(
      sequences.map(({ context, tokens }, unit) => ({ context, tokens, unit })),
      { context: model.context, max_tokens: Number(settings().max_batch_tokens) },
    );
  }

  #knobs(): Record<string, NDArray> {
    const { view, settings } = this.options;
    return knobArrays(settings(), { view_temperature: view.temperature(settings()) });
  }

  #tensors(params: ParamTree<Tensor>, batch: BatchTensors, knobs: Numbers<Tensor>): PolicyTensors {
    const { model, view, settings } = this.options;
    const { segment_ids, positions, inputs, targets } = batch;
    const knob = (name: string): Tensor => {
      const found = knobs[knobName(name)];
      if (!found) throw new VitroError(`rl: there is no setting ${name} that is a number`);
      return found;
    };
    const hidden = (): Tensor => model.hidden(params, inputs, { segment_ids, positions });
    return policyTensors({ model, params, hidden, targets, view, settings: settings(), knob });
  }

  async #forward(
    sequences: readonly Sequence[],
    name: string,
    params: Params,
    build: (policy: PolicyTensors, params: ParamTree<Tensor>) => Tensor,
  ): Promise<Float64Array[]> {
    const { backend, threads, watch } = this.options;
    const compiled = getOrMake(this.#measures, name, () =>
      compile(
        (weights: ParamTree<Tensor>, batch: BatchTensors, knobs: Numbers<Tensor>) => build(this.#tensors(weights, batch, knobs), weights),
        { name, backend, threads },
      ),
    );
    const out = sequences.map(() => new Float64Array(0));
    for (const part of this.#pack(sequences)) {
      const values = await watch.time('score', () => compiled.run(params as never, part.batch as never, this.#knobs()));
      this.options.scored(part.rows * part.length);
      gatherColumn(part, values as unknown as NDArray, sequences, out);
    }
    return out;
  }

  dispose(): void {
    this.#engine.dispose();
    this.#nudge?.dispose();
    for (const compiled of this.#measures.values()) compiled.dispose();
    this.#measures.clear();
  }
}
