import { createHash } from 'node:crypto';
import { array, type NDArray } from '../../../src/tensor/array.js';
import type { Tensor } from '../../../src/tensor/graph.js';
import { compile, grad } from '../../../src/tensor/index.js';
import * as ops from '../../../src/tensor/ops/index.js';
import { randomKey } from '../../../src/tensor/random/threefry.js';
import * as random from '../../../src/tensor/random.js';

const [batch, steps, width, heads, vocabulary] = [4, 64, 64, 4, 97];

/** Trains a small decoder for ten steps from a seed, with dropout noise from the key, and gives a hash of the final weights' bits. */
export async function trainedHash(seed: number): Promise<string> {
  const init = compile((key: Tensor) => {
    const draw = (i: number, ...shape: number[]): Tensor => random.normal(ops.add(key, ops.scalar(i, 'u32')), shape).mul(0.1);
    return { embed: draw(1, vocabulary, width), qkv: draw(2, width, 3 * width), out: draw(3, width, width), norm: draw(4, width).add(1) };
  });
  type Params = { embed: Tensor; qkv: Tensor; out: Tensor; norm: Tensor };
  const step = compile(
    (p: Params, ids: Tensor, key: Tensor) => {
      const h = ops.embedding(ids, p.embed);
      const parts = ops
        .rmsNorm(h, p.norm)
        .matmul(p.qkv)
        .reshape([batch, steps, 3, heads, width / heads])
        .transpose([2, 0, 3, 1, 4]);
      const [q, k, v] = [0, 1, 2].map((i) => parts.at(i)) as [Tensor, Tensor, Tensor];
      const mixed = ops.scaledDotProductAttention(q, k, v, { causal: true }).transpose([0, 2, 1, 3]).reshape([batch, steps, width]);
      const kept = ops.cast(random.bernoulli(key, 0.9, [batch, steps, width]), 'f32');
      const y = h.add(mixed.matmul(p.out).silu().mul(kept));
      const loss = ops.linearCrossEntropy(y, p.embed, ids.roll(-1, 1));
      const g = grad(loss, p);
      const norm = Object.values(g)
        .map((t) => t.square().sum())
        .reduce((a, b) => a.add(b))
        .sqrt();
      const update = (w: Tensor, d: Tensor): Tensor => w.sub(d.mul(0.5).div(ops.maximum(norm, 1)));
      return [
        { embed: update(p.embed, g.embed), qkv: update(p.qkv, g.qkv), out: update(p.out, g.out), norm: update(p.norm, g.norm) },
        loss,
      ] as const;
    },
    { donate: [0] },
  );
  let params = init.runSync(randomKey(seed));
  for (let i = 0; i < 10; i++) {
    const ids = array(
      Int32Array.from({ length: batch * steps }, (_, t) => (t * t * (i + 3) + (t >> 3)) % vocabulary),
      { shape: [batch, steps] },
    );
    const [next] = await step.run(params, ids, randomKey(seed + 1000 + i));
    params = next;
  }
  const hash = createHash('sha256');
  for (const p of Object.values(params) as NDArray[]) hash.update(new Uint8Array(p.data.buffer, p.data.byteOffset, p.data.byteLength));
  return hash.digest('hex');
}
