import { type CausalModel, modelLogits } from '../models/causalModel.js';
import type { KvCache } from '../models/decoder/cached.js';
import type { ParamTree } from '../nn/param.js';
import type { NDArray } from '../tensor/array.js';
import { type Compiled, type CompileOptions, compile } from '../tensor/compile/compile.js';
import { writesInPlace } from '../tensor/compile/sessions.js';
import { spec } from '../tensor/compile/template.js';
import { getOrMake } from '../tensor/getOrMake.js';
import type { Tensor } from '../tensor/graph.js';
import { logSoftmax } from '../tensor/ops/activation.js';
import { zeros } from '../tensor/ops/create.js';
import { exp, mul, neg } from '../tensor/ops/elementwise.js';
import { takeAlong } from '../tensor/ops/indexing.js';
import { squeeze, unsqueeze } from '../tensor/ops/movement.js';
import { dimOf } from '../tensor/ops/operand.js';
import { argmax, sum } from '../tensor/ops/reduce.js';
import { drawToken } from './draw.js';
import { KvRows, type KvUpdate } from './kvRows.js';
import { applyChain, type SamplerChain } from './sampling.js';

/** What a decoding step is given of each of its B rows. */
export interface StepInput<T> {
  /** i32 [B]: the token to append */
  readonly ids: T;
  /** i32 [B]: tokens in the cache before it */
  readonly lengths: T;
  /** f32 [B]: a random number in (0, 1); not there where nothing is drawn */
  readonly uniform?: T;
  /** bool [B, V]; there where the chain needs it */
  readonly seen?: T;
  readonly scalars: Readonly<Record<string, T>>;
}

/** The tokens that follow, with statistics, all of shape [B]. */
export interface StepOutput<T> {
  /** i32 */
  readonly token: T;
  /** log-probability of the token under the model, in nats */
  readonly logp: T;
  /** under the distribution that it was drawn from */
  readonly sampling_logp: T;
  /** of the model's distribution, in nats */
  readonly entropy: T;
}

export type EngineOptions = Pick<CompileOptions, 'backend' | 'threads'>;

/** Rows of logits [B, V] to tokens and their statistics, inside the graph. */
export function chooseTokens(
  chain: SamplerChain,
  logits: Tensor,
  { uniform, seen, scalars }: Pick<StepInput<Tensor>, 'uniform' | 'seen' | 'scalars'>,
): StepOutput<Tensor> {
  const logp_BV = logSoftmax(logits);
  const p_BV = exp(logp_BV);
  const entropy = neg(sum(mul(p_BV, logp_BV), { axis: 1 }));
  const changed = applyChain(chain, logits, scalars, seen);
  const pick = (values: Tensor, token: Tensor): Tensor => squeeze(takeAlong(values, unsqueeze(token, 1)), 1);
  if (chain.deterministic || !uniform) {
    const token = argmax(changed);
    return { token, logp: pick(logp_BV, token), sampling_logp: zeros([dimOf(logits, 0)]), entropy };
  }
  const drawn_BV = changed === logits ? logp_BV : logSoftmax(changed);
  const token = drawToken(changed === logits ? p_BV : exp(drawn_BV), uniform);
  return { token, logp: pick(logp_BV, token), sampling_logp: pick(drawn_BV, token), entropy };
}

type Params<T> = ParamTree<T>;
/** The cache with the new rows or the rows alone (see TokenResult), and the tokens. */
type StepResult<T> = readonly [KvUpdate<T>, StepOutput<T>];
type StepFn = (params: Params<Tensor>, input: StepInput<Tensor>, cache: KvCache<Tensor>) => StepResult<Tensor>;
type PrefillFn = (params: Params<Tensor>, ids: Tensor, cache: KvCache<Tensor>) => KvCache<Tensor>;

/** A limit on the length of sequences, rounded up so that few functions are compiled. */
export const limitBucket = (length: number, context: number): number => Math.min(2 ** Math.max(8, Math.ceil(Math.log2(length))), context);

/** The compiled functions of a model's generation: made once for each limit of length and form of the sampling chain, for any number of rows and any capacity. */
export class DecodeEngine {
  readonly #steps = new Map<string, Compiled<Parameters<StepFn>, StepResult<Tensor>>>();
  readonly #prefills = new Map<string, Compiled<Parameters<PrefillFn>, KvCache<Tensor>>>();
  #idle: KvRows | undefined;
  /** whether the last step read its cache up to the capacity; else up to each row's length */
  readsWhole = true;

  constructor(
    readonly model: CausalModel,
    readonly options: EngineOptions = {},
  ) {}

  /** Computes a token of each of the first rows of a cache, appends its keys and values there, and chooses the token that follows. */
  async step(
    chain: SamplerChain,
    params: Params<NDArray>,
    input: Omit<StepInput<NDArray>, 'scalars'>,
    kv: KvRows,
    limit: number,
  ): Promise<StepOutput<NDArray>> {
    const compiled = getOrMake(this.#steps, `${limit} ${chain.key}`, () => this.#compileStep(chain, limit));
    const cache = kv.view(input.ids.size);
    const result = await compiled.run(params as never, { ...input, scalars: chain.scalars } as never, cache as never);
    const [update, out] = result as unknown as StepResult<NDArray>;
    kv.append(update, input.lengths.data as Int32Array);
    this.readsWhole = update.rows.length > 0;
    return out;
  }

  /** The cache of prompts i32 [P, S] that are padded on the right. */
  async prefill(params: Params<NDArray>, ids: NDArray, capacity: number): Promise<KvCache<NDArray>> {
    const [rows, steps] = ids.shape as [number, number];
    // a single sequence has a kernel of its own, which the graph chooses where the size 1 is fixed
    const size = rows === 1 ? 1 : 'P';
    const compiled = getOrMake(this.#prefills, `${size} ${steps} ${capacity}`, () =>
      compile<Parameters<PrefillFn>, KvCache<Tensor>>(
        (weights, tokens, cache) => this.model.step(weights, tokens, cache, zeros([dimOf(tokens, 0)], 'i32')).cache,
        {
          ...this.options,
          name: 'prefill',
          donate: [2],
          args: [undefined, spec('i32', [size, steps]), this.#cacheSpec(size, capacity)],
        },
      ),
    );
    const empty = this.model.emptyCache(rows, capacity);
    return (await compiled.run(params as never, ids, empty as never)) as unknown as KvCache<NDArray>;
  }

  #cacheSpec(rows: number | string, capacity: number | string): unknown {
    const of = ({ shape: [, heads, , size] }: NDArray): unknown => spec('f32', [rows, heads as number, capacity, size as number]);
    return this.model.emptyCache(1, 1).map(({ k, v }) => ({ k: of(k), v: of(v) }));
  }

  #compileStep(chain: SamplerChain, limit: number): Compiled<Parameters<StepFn>, StepResult<Tensor>> {
    const { model } = this;
    const inPlace = writesInPlace(this.options);
    const step: StepFn = (params, { ids, lengths, ...choice }, past) => {
      const { hidden, cache, rows } = model.token(params, ids, past, lengths, { limit, inPlace });
      return [{ cache, rows }, chooseTokens(chain, modelLogits(model, params, hidden), choice)];
    };
    const input = {
      ids: spec('i32', ['B']),
      lengths: spec('i32', ['B']),
      ...(chain.deterministic ? {} : { uniform: spec('f32', ['B']) }),
      ...(chain.needsSeen ? { seen: spec('bool', ['B', model.vocab_size]) } : {}),
      scalars: Object.fromEntries(Object.keys(chain.scalars).map((name) => [name, spec('f32')])),
    };
    return compile(step, {
      ...this.options,
      name: 'decode',
      update: inPlace ? [2] : [],
      args: [undefined, input, this.#cacheSpec('B', 'C')],
    });
  }

  /** Memory for the caches of `rows` sequences of up to `capacity` tokens: that of the last generation where it is as large, since fresh memory is slow. */
  takeRows(rows: number, capacity: number): KvRows {
    const idle = this.#idle;
    this.#idle = undefined;
    return idle?.fits(rows, capacity) ? idle : new KvRows(this.model.emptyCache(rows, capacity));
  }

  /** Keeps the memory for the next generation. It must hold finite values only. */
  giveRows(rows: KvRows): void {
    this.#idle = rows;
  }

  dispose(): void {
    this.#idle = undefined;
    for (const compiled of [...this.#steps.values(), ...this.#prefills.values()]) compiled.dispose();
    this.#steps.clear();
    this.#prefills.clear();
  }
}
