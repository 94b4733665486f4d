// One GPT training step in jax-js on its wasm device, timed: a peer of `npm run bench -- train`.
//
//   node jaxjsTrain.mjs WORKLOAD STEPS [THREADS]      WORKLOAD: gpt-5.7m, gpt-28m or tiny; STEPS > 1; THREADS: 2 (default) or 1
//
// Prints one JSON line: {"step_ms", "all_ms", "losses": [first, last], "version", "threads", "params", "tokens", "scaled"}. The first step
// (tracing and compiling) is left out of the median. In Node jax-js alone runs on one thread (THREADS = 1); with two it gets a stand-in for
// the browser's `Worker`, so that the peer is as fast as the library can be here. Where a workload's batch does not fit in jax-js's 4 GiB of
// wasm memory, fewer sequences are run (`tokens` of them in all) and `step_ms` is the measured time scaled to the whole batch (`scaled`);
// that counts the optimizer's share more than once, about 5% too much on gpt-28m. `all_ms` stays as measured.
import { readFileSync } from 'node:fs';
import { installIteratorHelpers, installThreads } from './webShims.mjs';

const WORKLOADS = {
  'gpt-5.7m': { vocab: 4096, width: 256, layers: 6, heads: 8, ffn: 672, batch: 8, seq: 256 },
  'gpt-28m': { vocab: 8192, width: 512, layers: 8, heads: 8, ffn: 1376, batch: 8, seq: 256, fits: 4 },
  tiny: { vocab: 64, width: 32, layers: 2, heads: 2, ffn: 48, batch: 2, seq: 16 },
};
const WARM_UP = 1;
const EPS = 1e-5;
const ROTARY_BASE = 10000;
const ADAMW = { lr: 3e-4, b1: 0.9, b2: 0.95, eps: 1e-8, decay: 0.1 };

const [name, stepsText, threadsText = '2'] = process.argv.slice(2);
const config = Object.hasOwn(WORKLOADS, name ?? '') ? WORKLOADS[name] : undefined;
const steps = Number(stepsText);
const threads = Number(threadsText);
if (config === undefined || !Number.isInteger(steps) || steps <= WARM_UP || (threads !== 1 && threads !== 2)) {
  console.error(`usage: jaxjsTrain.mjs {${Object.keys(WORKLOADS).join(',')}} STEPS [THREADS]   (STEPS > ${WARM_UP}, THREADS 1 or 2)`);
  process.exit(1);
}

installIteratorHelpers();
if (threads > 1) installThreads(threads);
const { blockUntilReady, defaultDevice, init, jit, nn, numpy: np, random, tree, valueAndGrad } = await import('@jax-js/jax');

function initialize({ vocab, width, layers, ffn }) {
  let key = random.key(0);
  const normal = (...shape) => {
    const [next, use] = random.split(key, 2);
    key = next;
    return random.normal(use, shape).mul(0.02);
  };
  const block = () => ({
    norm1: np.ones([width]),
    qkv: normal(width, 3 * width),
    out: normal(width, width),
    norm2: np.ones([width]),
    gateUp: normal(width, 2 * ffn),
    down: normal(ffn, width),
  });
  return { embedding: normal(vocab, width), blocks: Array.from({ length: layers }, block), norm: np.ones([width]) };
}

/** Cosines and sines of the rotary angles, each [seq, 1, head] as float32. */
function rotaryTables(seq, head) {
  const angle = (i) => Math.floor(i / head) * ROTARY_BASE ** ((-2 * (i % (head / 2))) / head);
  const table = (f) => np.array(Float32Array.from({ length: seq * head }, (_, i) => f(angle(i)))).reshape([seq, 1, head]);
  return [table(Math.cos), table(Math.sin)];
}

function rmsNorm(x, weight) {
  const meanSquare = np.mean(np.square(x.ref), -1, { keepdims: true });
  return x.div(np.sqrt(meanSquare.add(EPS))).mul(weight);
}

/** Rotary embedding, rotate-half form; x: [batch, seq, heads, head]. */
function rotate(x, cos, sin) {
  const [a, b] = np.split(x.ref, 2, -1);
  return x.mul(cos).add(np.concatenate([b.neg(), a], -1).mul(sin));
}

/** Mean cross-entropy of the decoder over all positions; ids and targets: int32 [batch, seq]. */
function makeLoss({ width, heads, seq }) {
  const head = width / heads;
  const [cos, sin] = rotaryTables(seq, head);
  return ({ embedding, blocks, norm }, ids, targets) => {
    const [batch] = ids.shape;
    let x = np.take(embedding.ref, ids, 0);
    for (const p of blocks) {
      const qkv = np.matmul(rmsNorm(x.ref, p.norm1), p.qkv).reshape([batch, seq, 3 * heads, head]);
      const [q, k, v] = np.split(qkv, 3, 2);
      const y = nn.dotProductAttention(rotate(q, cos.ref, sin.ref), rotate(k, cos.ref, sin.ref), v, { isCausal: true });
      x = x.add(np.matmul(y.reshape([batch, seq, width]), p.out));
      const [gate, up] = np.split(np.matmul(rmsNorm(x.ref, p.norm2), p.gateUp), 2, -1);
      x = x.add(np.matmul(nn.silu(gate).mul(up), p.down));
    }
    const logits = np.matmul(rmsNorm(x, norm).reshape([batch * seq, width]), embedding.transpose());
    const picked = np.takeAlongAxis(logits.ref, targets.reshape([batch * seq, 1]), -1);
    return np.mean(nn.logsumexp(logits, -1, { keepdims: true }).sub(picked));
  };
}

/** The whole training step: gradients, clipping to a global norm of 1, and AdamW with decay on every parameter. */
function makeStep(config) {
  const lossAndGrad = valueAndGrad(makeLoss(config));
  return (params, first, second, count, ids, targets) => {
    const [loss, raw] = lossAndGrad(tree.ref(params), ids, targets);
    const squares = tree.leaves(tree.ref(raw)).map((g) => np.sum(np.square(g)));
    const norm = np.sqrt(squares.reduce((a, b) => a.add(b)));
    const factor = np.minimum(np.array(1).div(norm.add(1e-6)), 1);
    const grads = tree.map((g) => g.mul(factor.ref), raw);
    factor.dispose();
    const t = count.add(1);
    const m = tree.map((old, g) => old.mul(ADAMW.b1).add(g.ref.mul(1 - ADAMW.b1)), first, grads);
    const v = tree.map((old, g) => old.mul(ADAMW.b2).add(np.square(g).mul(1 - ADAMW.b2)), second, grads);
    const c1 = np.array(1).sub(np.exp(t.ref.mul(Math.log(ADAMW.b1))));
    const c2 = np.array(1).sub(np.exp(t.ref.mul(Math.log(ADAMW.b2))));
    const updated = tree.map(
      (p, mean, square) => {
        const direction = mean.ref.div(c1.ref).div(np.sqrt(square.ref.div(c2.ref)).add(ADAMW.eps));
        return p.mul(1 - ADAMW.lr * ADAMW.decay).sub(direction.mul(ADAMW.lr));
      },
      params,
      m,
      v,
    );
    c1.dispose();
    c2.dispose();
    return [updated, m, v, t, loss];
  };
}

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

async function main() {
  const batch = config.fits ?? config.batch;
  await init('wasm');
  defaultDevice('wasm');
  const tokens = batch * config.seq;
  const stream = Int32Array.from({ length: tokens + 1 }, (_, i) => (i * 7919 + (i % 13) * 31) % config.vocab);
  const ids = np.array(stream.slice(0, tokens)).reshape([batch, config.seq]);
  const targets = np.array(stream.slice(1)).reshape([batch, config.seq]);
  let params = initialize(config);
  const count = tree.leaves(params).reduce((sum, p) => sum + p.size, 0);
  let [first, second] = [0, 1].map(() => tree.map((p) => np.zeros(p.shape), params));
  let t = np.array(0, { dtype: np.float32 });
  await blockUntilReady([params, first, second, t, ids, targets]);
  const step = jit(makeStep(config));
  const allMs = [];
  const losses = [];
  for (let i = 0; i < steps; i++) {
    const start = performance.now();
    let loss;
    [params, first, second, t, loss] = step(params, first, second, t, ids.ref, targets.ref);
    await blockUntilReady([params, first, second, t]);
    losses.push((await loss.data())[0]);
    allMs.push(Number((performance.now() - start).toFixed(1)));
  }
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.resolve('@jax-js/jax')), 'utf8'));
  console.log(
    JSON.stringify({
      step_ms: (median(allMs.slice(WARM_UP)) * config.batch) / batch,
      all_ms: allMs,
      losses: [losses[0], losses.at(-1)],
      version,
      threads,
      params: count,
      tokens,
      scaled: batch !== config.batch,
    }),
  );
  process.exit(0); // the kernel threads would keep the process alive
}

await main();
