import {
  type Decoder,
  type DecoderConfig,
  decoderLoss,
  decoderParameterCount,
  decoderSpecs,
  decoderTrainFlopsPerToken,
  initDecoder,
} from 'vitro/models';
import {
  applyUpdates,
  chain,
  clipByGlobalNorm,
  globalNorm,
  initPerParameter,
  type Leaves,
  optimizers,
  updatePerParameter,
} from 'vitro/optim';
import { array, type Compiled, compile, grad, type NDArray, shardedMean, type Tensor, treeEntries, treeUnflatten } from 'vitro/tensor';

export interface GptWorkload {
  readonly name: string;
  readonly config: DecoderConfig;
  readonly batch: number;
}

const decoder = (vocab: number, width: number, layers: number, heads: number, ffn: number): DecoderConfig => ({
  vocab_size: vocab,
  hidden_size: width,
  num_hidden_layers: layers,
  num_attention_heads: heads,
  intermediate_size: ffn,
  max_position_embeddings: 256,
});

export const gpt5m: GptWorkload = { name: 'gpt-5.7m', config: decoder(4096, 256, 6, 8, 672), batch: 8 };
export const gpt28m: GptWorkload = { name: 'gpt-28m', config: decoder(8192, 512, 8, 8, 1376), batch: 8 };
/** 124M parameters in 30 layers. */
export const gpt124m: GptWorkload = { name: 'gpt-124m-deep', config: decoder(8192, 576, 30, 9, 1536), batch: 8 };

export interface GptTrainingOptions {
  /** compute layers again in the backward pass, one session a layer; update parameters one by one in place */
  readonly layerwise?: boolean;
  /** leave the optimizer out */
  readonly forwardBackwardOnly?: boolean;
  /** parts of the batch computed side by side in asynchronous runs */
  readonly shards?: number;
}

type StepState = { params: Decoder<NDArray>; optimizer: unknown };

/** A training workload with its state: forward, backward, clipping by the global norm and AdamW in compiled functions. */
export class GptTraining {
  readonly parameters: number;
  readonly tokens: number;
  /** 6 N D + full attention */
  readonly flops: number;
  readonly step: Compiled<readonly unknown[], readonly [unknown, { loss: Tensor; gradNorm: Tensor }]>;
  #state: StepState;
  readonly #ids: NDArray;
  readonly #targets: NDArray;

  constructor(
    readonly workload: GptWorkload,
    { layerwise = false, forwardBackwardOnly = false, shards = 1 }: GptTrainingOptions = {},
  ) {
    const { config, batch } = workload;
    const context = config.max_position_embeddings;
    this.tokens = batch * context;
    this.parameters = decoderParameterCount(config);
    this.flops = decoderTrainFlopsPerToken(config) * this.tokens;
    const specs = Object.fromEntries(treeEntries(decoderSpecs(config) as never)) as Leaves<never>;
    const adamw = optimizers.adamw;
    if (!adamw) throw new Error('the optimizer adamw is missing');
    const rule = adamw.create({ ...adamw.defaults, adam_beta2: 0.95, weight_decay: 0.1 });
    const whole = chain(clipByGlobalNorm(1), rule);
    const byPath = (tree: unknown): Leaves<Tensor> => Object.fromEntries(treeEntries(tree as never)) as Leaves<Tensor>;

    const train = (state: { params: Decoder<Tensor>; optimizer: never }, ids: Tensor, targets: Tensor, learning_rate: Tensor) => {
      const { loss, grads } = shardedMean(
        (part: { ids: Tensor; targets: Tensor }) => {
          const mean = decoderLoss(config, state.params, part.ids, part.targets, { checkpointLayers: layerwise });
          return { loss: mean, grads: byPath(grad(mean, state.params)) };
        },
        { ids, targets },
        { shards },
      );
      if (forwardBackwardOnly) return [state, { loss, gradNorm: globalNorm(grads) }] as const;
      const context_ = { params: byPath(state.params), specs, rates: { learning_rate } };
      if (layerwise) {
        const { params, state: optimizer, gradNorm } = updatePerParameter(rule, grads, state.optimizer, context_, 1);
        return [
          { params: treeUnflatten(state.params, Object.values(params)), optimizer },
          { loss, gradNorm },
        ] as const;
      }
      const { updates, state: optimizer } = whole.update(grads, state.optimizer, context_);
      const params = treeUnflatten(state.params, Object.values(applyUpdates(context_.params, updates)));
      return [
        { params, optimizer },
        { loss, gradNorm: globalNorm(grads) },
      ] as const;
    };
    this.step = compile(train as never, { name: workload.name, donate: forwardBackwardOnly ? [] : [0] });
    this.#state = {
      params: initDecoder(config, 1),
      optimizer: layerwise ? initPerParameter(rule, specs) : whole.init(specs),
    };
    const V = config.vocab_size;
    const id = (i: number): number => (i * 7919 + (i % 13) * 31) % V;
    const n = this.tokens;
    this.#ids = array(
      Int32Array.from({ length: n }, (_, i) => id(i)),
      { shape: [batch, context] },
    );
    this.#targets = array(
      Int32Array.from({ length: n }, (_, i) => id((i + 1) % n)),
      { shape: [batch, context] },
    );
  }

  get args(): readonly unknown[] {
    return [this.#state, this.#ids, this.#targets, 3e-4];
  }

  /** One step, blocking; the loss before it. */
  runSync(): number {
    return this.#take(this.step.runSync(...(this.args as never[])));
  }

  async run(): Promise<number> {
    return this.#take(await this.step.run(...(this.args as never[])));
  }

  #take(result: unknown): number {
    const [state, { loss }] = result as [StepState, { loss: NDArray }];
    this.#state = state;
    return loss.item();
  }
}
