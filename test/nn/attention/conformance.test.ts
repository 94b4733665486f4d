import { describe, expect, it } from 'vitest';
import type { Limit, ParamSpec, Settings } from '../../../src/contracts/index.js';
import { decoderParameterCount } from '../../../src/models/decoder/index.js';
import { type AttentionConfig, type AttentionMethod, attentions } from '../../../src/nn/attention/index.js';
import { positions } from '../../../src/nn/position/index.js';
import { Graph, inputTensor } from '../../../src/tensor/graph.js';
import { fromNDArray, NDArray, type Tree, treeEntries } from '../../../src/tensor/index.js';
import { evaluate } from '../../../src/tensor/reference/index.js';
import { gradientError, gradientOf, randomNumbers } from '../../tensor/autodiff/finiteDifferences.js';
import { attentionLayer, contextOf, drawWeights, largestGap, nested, randomArray, runLayer, type Weights } from './support.js';

const [B, T, D] = [2, 5, 12];
const input = (seed = 3, shape: readonly number[] = [B, T, D]): NDArray => randomArray(shape, randomNumbers(seed));
/** Settings beside the defaults under which every check runs: parts that the defaults leave out. */
const otherSettings: Readonly<Record<string, Settings>> = {
  'diff-qkv': { key_head_dim: 2, q_augment_ratio: 0.5, num_key_heads: 1, num_value_heads: 4 },
  sas: { head_factor: 3, kernel_size: 1, feature_factor: 0.7, compact_ratio: 0.5 },
  fem: { value_ratio: 0.5, outer_gate: false },
};
const cases = Object.values(attentions).flatMap((method) => [
  { id: method.id, method, settings: {} as Settings },
  ...(otherSettings[method.id]
    ? [{ id: `${method.id} ${JSON.stringify(otherSettings[method.id])}`, method, settings: otherSettings[method.id] as Settings }]
    : []),
]);

const rowsOf = (x: NDArray): number[][][] => x.toNested() as number[][][];
const withRow = (x: NDArray, change: (b: number, t: number, i: number, v: number) => number): NDArray =>
  new NDArray(
    'f32',
    x.shape,
    Float32Array.from(x.toNumbers(), (v, n) => change(Math.floor(n / (T * D)), Math.floor(n / D) % T, n % D, v)),
  );

describe.each(cases)('$id', ({ method, settings }) => {
  const context = contextOf(method, settings);
  const weights = drawWeights(method, context, 7);
  const run = (x: NDArray, options = {}): Promise<NDArray> => runLayer(method, context, weights, x, options);

  it.each([1, 2, 4])("gives finite outputs of the input's shape with %i key/value heads", async (num_key_value_heads) => {
    const own = contextOf(method, settings, { num_key_value_heads });
    const out = await runLayer(method, own, drawWeights(method, own, 5), input());
    expect(out.shape).toEqual([B, T, D]);
    expect(out.toNumbers().every(Number.isFinite)).toBe(true);
    // large inputs do not overflow either
    const large = await runLayer(method, own, drawWeights(method, own, 5), randomArray([B, T, D], randomNumbers(8), 1000));
    expect(large.toNumbers().every(Number.isFinite)).toBe(true);
  });

  it('states the shapes of its queries and of what a cache keeps', () => {
    const specs = treeEntries(method.specs(context) as Tree<ParamSpec>);
    const tensors = Object.fromEntries(specs.map(([path, { shape }]) => [path, inputTensor(path, shape, 'f32')]));
    const { q, k, v } = method.project(nested(tensors), inputTensor('x', [B, T, D], 'f32'), context);
    const cache = method.cacheShape(context);
    const [heads, size] = method.queryShape(context);
    expect(q.shape).toEqual([B, heads, T, size]);
    expect(k.shape).toEqual([B, cache.keys[0], T, cache.keys[1]]);
    expect(v.shape).toEqual([B, cache.values[0], T, cache.values[1]]);
  });

  it('is causal to the bit: a later token changes no earlier output', async () => {
    const x = input();
    const before = rowsOf(await run(x));
    const after = rowsOf(await run(withRow(x, (_, t, i, v) => (t === 3 ? v + 2 * i : v))));
    for (let b = 0; b < B; b++) {
      expect(after[b]?.slice(0, 3)).toEqual(before[b]?.slice(0, 3));
      for (const t of [3, 4]) expect(after[b]?.[t]).not.toEqual(before[b]?.[t]);
    }
  });

  it('treats rows of a batch alike and apart', async () => {
    const x = input();
    const [first, second] = rowsOf(x) as [number[][], number[][]];
    const swapped = new NDArray('f32', [B, T, D], Float32Array.from([...second, ...first].flat()));
    const [a, b] = rowsOf(await run(x));
    expect(rowsOf(await run(swapped))).toEqual([b, a]);
  });

  it('sees only the last tokens of a window', async () => {
    const x = input();
    const changed = withRow(x, (_, t, i, v) => (t === 0 ? v + 2 * i : v));
    const [before, after] = [await run(x, { view: { window: 2 } }), await run(changed, { view: { window: 2 } })].map(rowsOf);
    for (let b = 0; b < B; b++) {
      expect(after?.[b]?.slice(2)).toEqual(before?.[b]?.slice(2));
      expect(after?.[b]?.[1]).not.toEqual(before?.[b]?.[1]);
    }
  });

  it('gives packed documents what each gets alone', async () => {
    const x = input();
    const sizes = [2, 3];
    const segment = [0, 0, 1, 1, 1];
    const mask = new NDArray('bool', [1, 1, T, T], Uint8Array.from(segment.flatMap((s) => segment.map((u) => (s === u ? 1 : 0)))));
    // positions do not restart in a segment here, so they are left out
    const packed = rowsOf(await run(x, { position: null, mask }));
    let start = 0;
    for (const size of sizes) {
      const part = rowsOf(x).map((row) => row.slice(start, start + size));
      const alone = await run(new NDArray('f32', [B, size, D], Float32Array.from(part.flat(2))), { position: null });
      const there = packed.map((row) => row.slice(start, start + size)).flat(2);
      expect(Math.max(...alone.toNumbers().map((v, i) => Math.abs(v - (there[i] as number))))).toBeLessThan(1e-6);
      start += size;
    }
    expect(largestGap(await run(x, { position: null }), await run(x, { position: null, mask }))).toBeGreaterThan(1e-3);
  });

  it('takes biases of the scores for all of its heads', async () => {
    const x = input();
    const plain = await run(x, { position: null });
    const biased = await run(x, { position: positions.alibi });
    expect(largestGap(plain, biased)).toBeGreaterThan(1e-3);
  });

  it('passes a gradient to every parameter, the one of finite differences', () => {
    const x = inputTensor('x', [B, T, D], 'f32');
    const named = Object.entries(weights).map(([path, value]) => ({ path, value, tensor: inputTensor(path, value.shape, 'f32') }));
    const inputs = [x, ...named.map((n) => n.tensor)];
    const values = [input(), ...named.map((n) => n.value)].map(fromNDArray);
    const out = attentionLayer(method, context, Object.fromEntries(named.map((n) => [n.path, n.tensor])), x);
    const point = { inputs, values, outs: [out], wrt: inputs };
    expect(gradientError(point, randomNumbers(11), 1e-6)).toBeLessThan(1e-6);
    const g = gradientOf(point, randomNumbers(12));
    evaluate(new Graph(g.inputs, g.outs), g.values).forEach((grad, i) => {
      expect(Math.max(...grad.data.map(Math.abs)), `gradient of ${['x', ...named.map((n) => n.path)][i]}`).toBeGreaterThan(1e-4);
    });
  });
});

/** A claim of equality needs an example: parent and method on the inputs that the limit speaks of. */
interface Example {
  readonly config?: Partial<AttentionConfig>;
  readonly x?: NDArray;
  /** parameters of the method where they are not drawn or the parent's */
  readonly own?: (drawn: Weights) => Weights;
}

const zeros = (x: NDArray): NDArray => new NDArray('f32', x.shape, new Float32Array(x.size));
const identity = (rows: number, columns: number, at: (column: number) => number): NDArray => {
  const out = new NDArray('f32', [rows, columns], new Float32Array(rows * columns));
  for (let j = 0; j < columns; j++) (out.data as Float32Array)[at(j) * columns + j] = 1;
  return out;
};

/** Some vector of length 1 for every n. */
function unitVector(size: number, n: number): number[] {
  const v = Array.from({ length: size }, (_, i) => Math.sin(n + 1 + i * (n + 2)));
  return v.map((a) => a / Math.hypot(...v));
}

const examples: Readonly<Record<string, Example>> = {
  '2 key/value heads': { config: { num_key_value_heads: 2 } },
  // x of unit length in each pair of 6 features, and keys that are those features
  'keys of unit length': {
    x: new NDArray('f32', [B, T, D], Float32Array.from(Array.from({ length: B * T * 2 }, (_, n) => unitVector(6, n)).flat())),
    own: (drawn) => ({ ...drawn, 'k_proj.weight': identity(12, 12, (j) => j) }),
  },
  'head maps that copy, feature maps that change nothing, residual maps at zero': {
    own: (drawn) => {
      const copy = (heads: number): NDArray => identity(3 * heads, 2 * heads, (j) => heads + (j % heads));
      return Object.fromEntries(
        Object.entries(drawn).map(([path, w]) => {
          if (/(residual|\.bias)/.test(path)) return [path, zeros(w)];
          if (path.includes('_heads_proj')) return [path, copy(path.startsWith('q') ? 4 : 2)];
          return [path, path.includes('_features_proj') ? identity(6, 6, (j) => j) : w];
        }),
      );
    },
  },
};

describe.each(Object.values(attentions).filter((m) => m.parent))('$id', (method) => {
  const parent = attentions[method.parent as string] as AttentionMethod;
  const outputs = async ({ settings, inputs }: Limit): Promise<[NDArray, NDArray]> => {
    const example = inputs === undefined ? {} : (examples[inputs] as Example);
    expect(example, `no example of "${inputs}"`).toBeDefined();
    const x = example.x ?? input();
    const theirs = contextOf(parent, {}, example.config);
    const context = contextOf(method, settings, example.config);
    const drawn = drawWeights(method, context, 9, drawWeights(parent, theirs, 7));
    const own = example.own?.(drawn) ?? drawn;
    // what the example fixes holds for the parent too
    const shared = drawWeights(parent, theirs, 7, own);
    return [await runLayer(method, context, own, x), await runLayer(parent, theirs, shared, x)];
  };

  it.each(method.limits.map((l) => [JSON.stringify(l.settings), l] as const))('equals its parent at %s', async (_, limit) => {
    const [own, theirs] = await outputs(limit);
    expect(largestGap(own, theirs)).toBeLessThanOrEqual(limit.tolerance);
  });

  it('differs from its parent elsewhere', async () => {
    expect(method.limits.length).toBeGreaterThan(0);
    const [own, theirs] = await outputs({ settings: {}, tolerance: 0 });
    expect(largestGap(own, theirs)).toBeGreaterThan(1e-2);
  });

  it.each([
    ['two heads', { hidden_size: 96, num_attention_heads: 2 }],
    ['four heads', { hidden_size: 128, num_attention_heads: 4 }],
    ['shared heads', { hidden_size: 256, num_attention_heads: 8, num_key_value_heads: 2 }],
  ])('has as many parameters as its parent by default: %s', (_, sizes) => {
    const model = { vocab_size: 16, num_hidden_layers: 2, intermediate_size: 512, max_position_embeddings: 16, ...sizes };
    const count = (attention_method: string): number => decoderParameterCount({ ...model, attention_method });
    const frame = 16 * sizes.hidden_size + 2 * 3 * sizes.hidden_size * 512 + 5 * sizes.hidden_size;
    const [own, theirs] = [count(method.id) - frame, count(parent.id) - frame];
    expect(Math.abs(own / theirs - 1)).toBeLessThan(0.02);
  });
});

describe('the slot', () => {
  it('has methods with known parents, JSON defaults and a demonstration each', () => {
    for (const method of Object.values(attentions)) {
      expect(JSON.parse(JSON.stringify(method.defaults))).toEqual(method.defaults);
      for (const knob of Object.keys(method.knobs ?? {})) expect(Object.keys(method.defaults)).toContain(knob);
      if (method.parent === undefined) continue;
      expect(Object.keys(attentions)).toContain(method.parent);
      expect(method.demo?.baseline).toBe(method.parent);
      for (const { settings } of method.limits)
        for (const key of Object.keys(settings)) expect(Object.keys(method.defaults)).toContain(key);
    }
  });

  it.each([
    ['diff-qkv', { num_key_heads: 3 }, /num_key_heads 3 must divide/],
    ['diff-qkv', { num_value_heads: 3 }, /num_value_heads 3 must divide/],
    ['sas', { head_factor: 1.5 }, /head_factor must be a whole number/],
    ['sas', { kernel_size: 2 }, /kernel_size must be odd/],
  ])('%s refuses %o', (id, settings, message) => {
    const method = attentions[id] as AttentionMethod;
    expect(() => method.specs(contextOf(method, settings))).toThrow(message);
  });

  it.each(['diff-qkv', 'sas'])('%s refuses norms of queries and keys', (id) => {
    const method = attentions[id] as AttentionMethod;
    expect(() => method.specs(contextOf(method, {}, { qk_norm: 'head' }))).toThrow(/qk_norm/);
  });
});
