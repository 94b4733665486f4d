import { describe, expect, it } from 'vitest';
import { type Decoder, type DecoderConfig, decoderHidden, decoderLoss, initDecoder } from '../../src/models/decoder/index.js';
import { attentions } from '../../src/nn/attention/index.js';
import {
  array,
  compile,
  mapTree,
  type NDArray,
  type Tensor,
  type Tree,
  treeEntries,
  treeLeaves,
  valueAndGrad,
} from '../../src/tensor/index.js';

const base: DecoderConfig = {
  vocab_size: 9,
  hidden_size: 24,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  intermediate_size: 16,
  max_position_embeddings: 16,
};
const configs: Readonly<Record<string, DecoderConfig>> = {
  ...Object.fromEntries(Object.keys(attentions).map((attention_method) => [attention_method, { ...base, attention_method }])),
  'diff-qkv with small keys': { ...base, attention_method: 'diff-qkv', attention_settings: { key_head_dim: 4, q_augment_ratio: 0.5 } },
};
const i32 = (rows: readonly (readonly number[])[]): NDArray => array(rows, { dtype: 'i32' });
const words = [
  [1, 2, 3, 4, 5, 6, 7, 8],
  [8, 6, 4, 2, 7, 5, 3, 1],
];
const inputs = i32(words.map((row) => row.slice(0, -1)));
const targets = i32(words.map((row) => row.slice(1)));

type Params = Decoder<Tensor>;
const asTree = <T>(x: unknown): Tree<T> => x as Tree<T>;

describe.each(Object.entries(configs))('a decoder with %s', (_, config) => {
  it('learns two sequences by heart', async () => {
    const step = compile((p: Params, x: Tensor, y: Tensor) => {
      const [loss, grads] = valueAndGrad((q: Params) => decoderLoss(config, q, x, y))(p);
      const slope = new Map(treeEntries(asTree<Tensor>(grads)));
      // steps of the sign: no optimizer state, and every parameter moves
      const next = mapTree(asTree<Tensor>(p), (w, path) => {
        const g = slope.get(path) as Tensor;
        return w.sub(g.div(g.mul(g).add(1e-12).sqrt()).mul(0.01));
      });
      return { loss, params: next as unknown as Params };
    });
    let params = initDecoder(config, 1);
    let loss = Number.POSITIVE_INFINITY;
    const first = (await step.run(params, inputs, targets)).loss.item();
    for (let i = 0; i < 40; i++) {
      const out = await step.run(params, inputs, targets);
      params = out.params as unknown as Decoder<NDArray>;
      loss = out.loss.item();
    }
    step.dispose();
    expect(first).toBeCloseTo(Math.log(9), 0);
    expect(loss).toBeLessThan(0.5);
  });

  it('has the same gradients where layers are computed again in the backward pass', async () => {
    const params = initDecoder(config, 2);
    const gradients = async (checkpointLayers: boolean): Promise<number[]> => {
      const run = compile((p: Params, x: Tensor, y: Tensor) => {
        const [loss, grads] = valueAndGrad((q: Params) => decoderLoss(config, q, x, y, { checkpointLayers }))(p);
        return { loss, grads };
      });
      const { grads } = await run.run(params, inputs, targets);
      run.dispose();
      return treeLeaves(asTree<NDArray>(grads)).flatMap((g) => g.toNumbers());
    };
    const [plain, again] = [await gradients(false), await gradients(true)];
    expect(Math.max(...plain.map(Math.abs))).toBeGreaterThan(1e-3);
    expect(Math.max(...plain.map((g, i) => Math.abs(g - (again[i] as number))))).toBeLessThan(1e-5);
  });

  it('gives packed documents the hidden states that each has alone', async () => {
    const params = initDecoder(config, 3);
    const [positions, segments] = [[[0, 1, 2, 0, 1, 2, 3]], [[0, 0, 0, 1, 1, 1, 1]]];
    const packed = compile((p: Params, x: Tensor, at: Tensor, of: Tensor) =>
      decoderHidden(config, p, x, { positions: at, segment_ids: of }),
    );
    const alone = compile((p: Params, x: Tensor) => decoderHidden(config, p, x));
    const together = (await packed.run(params, i32([words[0]?.slice(0, 7) as number[]]), i32(positions), i32(segments))).toNumbers();
    const parts = [
      await alone.run(params, i32([words[0]?.slice(0, 3) as number[]])),
      await alone.run(params, i32([words[0]?.slice(3, 7) as number[]])),
    ].flatMap((x) => x.toNumbers());
    packed.dispose();
    alone.dispose();
    expect(Math.max(...together.map((v, i) => Math.abs(v - (parts[i] as number))))).toBeLessThan(1e-4);
  });
});
