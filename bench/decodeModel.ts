import {
  add,
  applyRotary,
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
  reshape,
  rmsNorm,
  ropeTables,
  silu,
  split,
  type Tensor,
  transpose,
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
  /** ids [1, S], position i32 [S], length i32 [1], caches -> logits [1, V] of the last token and the caches */
  readonly step: (
    ids: Tensor,
    positions: Tensor,
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
  /** x @ W with W [inputs, outputs], in the chosen format */
  const linear = (inputs: number, outputs: number): ((x: Tensor) => Tensor) => {
    if (format === 'f32') {
      const weight = constant(noise([inputs, outputs], 0.05, seed++));
      weightBytes += inputs * outputs * 4;
      return (x) => matmul(x, weight);
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
    step: (ids, positions, length, caches) => {
      const steps = ids.shape[1] as Tensor['shape'][number];
      const cos = embedding(positions, rope.cos);
      const sin = embedding(positions, rope.sin);
      const turn = (x: Tensor, n: number): Tensor => {
        const byHead = transpose(reshape(x, [1, steps, n, headDim]), [0, 2, 1, 3]);
        return reshape(transpose(applyRotary(byHead, cos, sin), [0, 2, 1, 3]), [1, steps, n * headDim]);
      };
      let x = embedding(ids, table);
      const next: { k: Tensor; v: Tensor }[] = [];
      blocks.forEach((block, i) => {
        const cache = caches[i] as { k: Tensor; v: Tensor };
        const sizes = [heads * headDim, kvHeads * headDim, kvHeads * headDim];
        const [q, k, v] = split(block.qkv(rmsNorm(x, gain)), sizes, -1) as [Tensor, Tensor, Tensor];
        const a = cachedAttention(
          { q: turn(q, heads), k: turn(k, kvHeads), v, pastK: cache.k, pastV: cache.v, length },
          { heads, kvHeads, scale: headDim ** -0.5 },
        );
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
