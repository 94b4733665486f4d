import { array, type Compiled, compile, type NDArray, spec, zerosArray } from 'vitro/tensor';
import { type DecodeShape, decodeModel, shape135m, type WeightFormat } from './decodeModel.js';
import { median, round, time } from './measure.js';

const capacity = 2304;
const context = 512;

export interface DecodeBench {
  readonly memory_bandwidth_gb_s: number;
  readonly rows: readonly {
    readonly weights: WeightFormat;
    readonly ms_per_token: number;
    readonly tokens_per_second: number;
    /** weight and cache bytes over time */
    readonly gb_s: number;
    readonly bandwidth_fraction: number;
    readonly over_f32: number;
    readonly prefill_tokens_per_second: number;
  }[];
}

type Caches = readonly { k: NDArray; v: NDArray }[];
type Step = Compiled<readonly unknown[], readonly [Caches, NDArray]>;

/** Reads 512 MB in a matrix-vector product, whose weights do not fit any cache here: the bandwidth that a decoder can hope for. */
function bandwidthProbe(): () => number {
  const [rows, columns] = [32_768, 4096];
  const m = zerosArray([rows, columns]);
  (m.data as Float32Array).fill(0.5);
  const v = zerosArray([columns, 1]);
  const out = compile((a: { matmul: (b: unknown) => unknown }, b: unknown) => a.matmul(b) as never, { name: 'bandwidth' });
  return () => (rows * columns * 4) / time(() => void out.runSync(m as never, v as never)) / 1e6;
}

class Decoder {
  readonly #step: Step;
  #caches: Caches;
  readonly weightBytes: number;
  readonly #shape: DecodeShape;

  constructor(shape: DecodeShape, format: WeightFormat) {
    this.#shape = shape;
    const model = decodeModel(shape, format, capacity);
    this.weightBytes = model.weightBytes;
    const kv = () => spec('f32', [1, shape.kvHeads, capacity, shape.headDim]);
    const caches = Array.from({ length: shape.layers }, () => ({ k: kv(), v: kv() }));
    this.#step = compile(((state: never, ids: never, length: never) => model.step(ids, length, state)) as never, {
      name: `decode ${format}`,
      donate: [0],
      args: [caches, spec('i32', [1, 'S']), spec('i32', [1])],
    }) as unknown as Step;
    this.#caches = caches.map(() => ({ k: this.#empty(), v: this.#empty() }));
  }

  #empty(): NDArray {
    const a = zerosArray([1, this.#shape.kvHeads, capacity, this.#shape.headDim]);
    (a.data as Float32Array).fill(0.01);
    return a;
  }

  /** Milliseconds for `count` tokens after `length` others. */
  run(length: number, count: number): number {
    const ids = array(
      Int32Array.from({ length: count }, (_, i) => (i * 7919) % this.#shape.vocab),
      { shape: [1, count] },
    );
    const filled = array(Int32Array.of(length));
    return time(() => {
      const [caches] = this.#step.runSync(...([this.#caches, ids, filled] as never[])) as unknown as [Caches, NDArray];
      this.#caches = caches;
    });
  }

  /** weight bytes and the cache up to `length`, read for one token */
  bytesPerToken(length: number): number {
    return this.weightBytes + 2 * this.#shape.layers * this.#shape.kvHeads * this.#shape.headDim * length * 4;
  }

  dispose(): void {
    this.#step.dispose();
  }
}

/** Raw figures of one format, measured in a process of its own. */
export interface FormatFigures {
  readonly token_ms: readonly number[];
  readonly prefill_ms: readonly number[];
  readonly bandwidths_gb_s: readonly number[];
  readonly bytes_per_token: number;
}

/** Consecutive one-token steps at context 512, then prefills of 512 tokens, then a bandwidth probe. */
export function measureFormat(format: WeightFormat, { repeats = 30, shape = shape135m as DecodeShape } = {}): FormatFigures {
  const decoder = new Decoder(shape, format);
  for (let i = 0; i < 4; i++) decoder.run(context - 4 + i, 1);
  const tokens = Array.from({ length: repeats }, (_, i) => decoder.run(context + i, 1));
  decoder.run(0, context);
  const prefills = Array.from({ length: 4 }, () => decoder.run(0, context));
  const bytes = decoder.bytesPerToken(context);
  decoder.dispose();
  const bandwidths = Array.from({ length: 9 }, bandwidthProbe()).slice(1);
  return { token_ms: tokens, prefill_ms: prefills, bandwidths_gb_s: bandwidths, bytes_per_token: bytes };
}

/** The formats by turns, `rounds` times, each through `measure`. */
export function benchDecode(measure: (format: WeightFormat) => FormatFigures, rounds = 3): DecodeBench {
  const formats: readonly WeightFormat[] = ['f32', 'q8', 'q4'];
  const figures = formats.map(() => [] as FormatFigures[]);
  for (let r = 0; r < rounds; r++) for (const [i, f] of formats.entries()) figures[i]?.push(measure(f));
  const bandwidth = median(figures.flat().flatMap((f) => f.bandwidths_gb_s));
  const base = median((figures[0] ?? []).flatMap((f) => f.token_ms));
  const rows = formats.map((weights, i) => {
    const own = figures[i] ?? [];
    const ms = median(own.flatMap((f) => f.token_ms));
    const rate = (own[0]?.bytes_per_token ?? Number.NaN) / ms / 1e6;
    return {
      weights,
      ms_per_token: round(ms, 2),
      tokens_per_second: round(1000 / ms, 1),
      gb_s: round(rate, 1),
      bandwidth_fraction: round(rate / bandwidth),
      over_f32: round(ms / base),
      prefill_tokens_per_second: round((context * 1000) / median(own.flatMap((f) => f.prefill_ms)), 0),
    };
  });
  return { memory_bandwidth_gb_s: round(bandwidth, 1), rows };
}
