import {
  add,
  array,
  at,
  cachedAttention,
  constant,
  embedding,
  matmul,
  mul,
  type NDArray,
  quantizeBlocks,
  quantMatmul,
  rmsNorm,
  ropeTables,
  silu,
  split,
  type Tensor,
} from 'vitro/tensor';

/** The shape of SmolLM2-135M. */
export const shape135m = { layers: 30, width: 576, heads: 9, kvHeads: 3, headDim: 64, ffn: 1536, vocab: 49152 } as const;
export type DecodeShape = { readonly [K in keyof typeof shape135m]: number };
export type WeightFormat = 'f32' | 'q8' | 'q4';

/** Deterministic values in [-scale, scale), distinct between weights. */
function noise(shape: readonly number[], scale: number, seed: number): NDArray {
  const data = new Float32Array(shape.reduce((a, b) => a * b, 1));
  let x = seed >>> 0 || 1;
  for (let i = 0; i < data.length; i++) {
    x = (Math.imul(x, 1664525) + 1013904223) >>> 0;
    data[i] = (x / 2 ** 31 - 1) * scale;
  }
  return array(data, { shape });
}

export interface DecodeModel {
  /** ids [1, S], length i32 [1] (tokens in the caches), caches -> the caches, and logits [1, V] after the last token */
  readonly step: (
    ids: Tensor,
    length: Tensor,
    caches: readonly { k: Tensor; v: Tensor }[],
  ) => readonly [readonly { k: Tensor; v: Tensor }[], Tensor];
  /** bytes of weights that one token reads (the embedding table counts once, as head) */
  readonly weightBytes: number;
}

/** A Llama-shaped decoder step over a preallocated cache; the weights are constants of the graph. */
export function decodeModel(shape: DecodeShape, format: WeightFormat, capacity: number): DecodeModel {
  const { layers, width, heads, kvHeads, headDim, ffn, vocab } = shape;
  let weightBytes = 0;
  let seed = 1;
  /** x @ W^T with W [outputs, inputs], as checkpoints store it, in the chosen format */
  const linear = (inputs: number, outputs: number): ((x: Tensor) => Tensor) => {
    if (format === 'f32') {
      const weight = constant(noise([outputs, inputs], 0.05, seed++));
      weightBytes += inputs * outputs * 4;
      return (x) => matmul(x, weight, { transB: true });
    }
    const q = quantizeBlocks(noise([outputs, inputs], 0.05, seed++), { bits: format === 'q4' ? 4 : 8, blockSize: 32 });
    weightBytes += q.packed.data.byteLength + q.scales.data.byteLength;
    return (x) => quantMatmul(x, q);
  };
  const gain = constant(noise([width], 1, seed++));
  const blocks = Array.from({ length: layers }, () => ({
    qkv: linear(width, (heads + 2 * kvHeads) * headDim),
    out: linear(heads * headDim, width),
    gateUp: linear(width, 2 * ffn),
    down: linear(ffn, width),
  }));
  const table = constant(noise([vocab, width], 0.05, seed++));
  const quantizedHead = format === 'f32' ? undefined : linear(width, vocab);
  if (!quantizedHead) weightBytes += vocab * width * 4;
  const rope = ropeTables(capacity, headDim, 100000);

  return {
    weightBytes,
    step: (ids, length, caches) => {
      let x = embedding(ids, table);
      const next: { k: Tensor; v: Tensor }[] = [];
      blocks.forEach((block, i) => {
        const cache = caches[i] as { k: Tensor; v: Tensor };
        const sizes = [heads * headDim, kvHeads * headDim, kvHeads * headDim];
        const [q, k, v] = split(block.qkv(rmsNorm(x, gain)), sizes, -1) as [Tensor, Tensor, Tensor];
        const a = cachedAttention({ q, k, v, pastK: cache.k, pastV: cache.v, length, rope }, { heads, kvHeads, scale: headDim ** -0.5 });
        next.push({ k: a.pastK, v: a.pastV });
        x = add(x, block.out(a.out));
        const [gate, up] = split(block.gateUp(rmsNorm(x, gain)), 2, -1) as [Tensor, Tensor];
        x = add(x, block.down(mul(silu(gate), up)));
      });
      const last = at(rmsNorm(x, gain), -1, 1);
      return [next, quantizedHead ? quantizedHead(last) : matmul(last, table, { transB: true })] as const;
    },
  };
}
