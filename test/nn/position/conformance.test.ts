import { describe, expect, it } from 'vitest';
import type { Limit, ParamSpec, Settings } from '../../../src/contracts/index.js';
import type { ParamTree } from '../../../src/nn/param.js';
import { alibiSlopes } from '../../../src/nn/position/alibi.js';
import { type PositionConfig, type PositionMethod, type Positions, positions } from '../../../src/nn/position/index.js';
import { Graph, inputTensor } from '../../../src/tensor/graph.js';
import {
  compile,
  constant,
  fromNDArray,
  matmul,
  NDArray,
  reshape,
  type Tensor,
  type Tree,
  transpose,
  treeEntries,
} from '../../../src/tensor/index.js';
import { evaluate } from '../../../src/tensor/reference/index.js';
import { gradientError, gradientOf, randomNumbers } from '../../tensor/autodiff/finiteDifferences.js';
import { nested } from '../attention/support.js';

/** Legend: B rows, T tokens, H heads, d head size, D = H d. */
const [B, T, H, d] = [2, 4, 3, 4];
const D = H * d;
const config: PositionConfig = { hidden_size: D, num_attention_heads: H, head_dim: d, max_position_embeddings: 16 };
const random = (shape: readonly number[], seed: number): NDArray => {
  const next = randomNumbers(seed);
  return new NDArray('f32', shape, Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, next));
};
const input = random([B, T, D], 5);

type Flat<X> = Readonly<Record<string, X>>;
function drawWeights(method: PositionMethod, settings: Settings): Flat<NDArray> {
  const specs = method.specs?.(config, settings);
  return Object.fromEntries(
    (specs ? treeEntries(specs as Tree<ParamSpec>) : []).map(([path, { shape }], i) => [path, random(shape, 40 + i)]),
  );
}

/** Parameters as tensors of their own, for what does not look at them. */
const tableOf = (method: PositionMethod): ParamTree<Tensor> =>
  nested(Object.fromEntries(Object.entries(drawWeights(method, {})).map(([path, w]) => [path, constant(w)])));

/** Scores [B, H, T, T] of attention whose queries and keys are the embeddings themselves: all that a position method can change. */
function scoresOf(
  method: PositionMethod,
  settings: Settings,
  weights: ParamTree<Tensor>,
  x: Tensor,
  queries: Positions,
  keys = queries,
): Tensor {
  const applied = method.apply({ config, settings: { ...method.defaults, ...settings }, weights, queries, keys });
  const embedded = applied.embed?.(x) ?? x;
  const heads = transpose(reshape(embedded, [x.shape[0] ?? B, x.shape[1] ?? T, H, d]), [0, 2, 1, 3]);
  const [q, k] = [applied.rotate?.(heads) ?? heads, applied.rotateKeys?.(heads) ?? heads];
  const scores = matmul(q, transpose(k, [0, 1, 3, 2]));
  return applied.bias ? scores.add(applied.bias) : scores;
}

interface Run {
  readonly settings?: Settings;
  readonly weights?: Flat<NDArray>;
  readonly x?: NDArray;
  /** positions of each row; absent = 0, 1, ... by count */
  readonly ids?: readonly (readonly number[])[];
}

async function scores(
  method: PositionMethod,
  { settings = {}, weights = drawWeights(method, settings), x = input, ids }: Run = {},
): Promise<NDArray> {
  const time = x.shape[1] as number;
  const run = compile(
    (w: Flat<Tensor>, h: Tensor, at: { ids?: Tensor }) =>
      scoresOf(method, settings, nested(w), h, at.ids ? { ids: at.ids, limit: 16 } : { count: time }),
    { backend: 'reference' },
  );
  const out = await run.run(weights, x, ids ? { ids: new NDArray('i32', [ids.length, time], Int32Array.from(ids.flat())) } : {});
  run.dispose();
  return out;
}
const gap = (a: NDArray, b: NDArray): number => Math.max(...a.toNumbers().map((v, i) => Math.abs(v - (b.toNumbers()[i] as number))));
const both = (row: readonly number[]): number[][] => [[...row], [...row]];

const variants: Readonly<Record<string, Settings>> = {
  'rope, half of each head': { partial_rotary_factor: 0.5 },
  'rope, linear': { rope_type: 'linear', factor: 3 },
};
const cases = [
  ...Object.values(positions).map((method) => ({ name: method.id, method, settings: {} as Settings })),
  ...Object.entries(variants).map(([name, settings]) => ({ name, method: positions.rope as PositionMethod, settings })),
];
/** Methods whose scores depend on where tokens stand, not on differences alone. */
const absolute = ['learned'];

describe.each(cases)('$name', ({ method, settings }) => {
  it('gives counted positions what it gives the same positions listed', async () => {
    const counted = await scores(method, { settings });
    expect(counted.shape).toEqual([B, H, T, T]);
    expect(counted.toNumbers().every(Number.isFinite)).toBe(true);
    expect(gap(counted, await scores(method, { settings, ids: both([0, 1, 2, 3]) }))).toBeLessThan(1e-6);
  });

  it('follows the positions of each row', async () => {
    const [first, second] = [both([0, 1, 2, 3]), both([5, 7, 8, 11])];
    const mixed = (await scores(method, { settings, ids: [first[0] as number[], second[1] as number[]] })).toNested() as number[][][][];
    const [a, b] = [await scores(method, { settings, ids: first }), await scores(method, { settings, ids: second })].map(
      (x) => x.toNested() as number[][][][],
    );
    expect(mixed).toEqual([a?.[0], b?.[1]]);
  });

  it('depends on differences of positions only, unless it is absolute', async () => {
    const at = (shift: number): Promise<NDArray> => scores(method, { settings, ids: both([0, 1, 3, 6].map((p) => p + shift)) });
    const moved = gap(await at(0), await at(7));
    if (absolute.includes(method.id)) expect(moved).toBeGreaterThan(1e-2);
    else expect(moved).toBeLessThan(1e-5);
    const stretched = gap(await at(0), await scores(method, { settings, ids: both([0, 2, 6, 12]) }));
    if (method.id === 'nope') expect(stretched).toBe(0);
    else expect(stretched).toBeGreaterThan(1e-2);
  });

  it('turns keys, which may stand elsewhere than the queries, as queries at their positions', async () => {
    const heads = random([B, H, T, d], 9);
    const ids = new NDArray('i32', [B, T], Int32Array.from(both([2, 3, 4, 9]).flat()));
    const run = compile(
      (h: Tensor, at: Tensor) => {
        const [here, there]: [Positions, Positions] = [{ count: T }, { ids: at, limit: 16 }];
        const applied = (queries: Positions, keys: Positions) =>
          method.apply({ config, settings: { ...method.defaults, ...settings }, weights: tableOf(method), queries, keys });
        return { keys: applied(here, there).rotateKeys?.(h) ?? h, queries: applied(there, there).rotate?.(h) ?? h };
      },
      { backend: 'reference' },
    );
    const { keys, queries } = await run.run(heads, ids);
    run.dispose();
    expect(keys.toNumbers()).toEqual(queries.toNumbers());
    expect(gap(keys, heads) > 1e-2).toBe(method.id === 'rope');
  });

  it('passes a gradient to the embeddings and to its own parameters, the one of finite differences', () => {
    const drawn = drawWeights(method, settings);
    const x = inputTensor('x', [B, T, D], 'f32');
    const named = Object.entries(drawn).map(([path, value]) => ({ path, value, tensor: inputTensor(path, value.shape, 'f32') }));
    const inputs = [x, ...named.map((n) => n.tensor)];
    const weights = nested(Object.fromEntries(named.map((n) => [n.path, n.tensor])));
    const out = scoresOf(method, settings, weights, x, { count: T });
    const point = { inputs, values: [input, ...named.map((n) => n.value)].map(fromNDArray), outs: [out], wrt: inputs };
    expect(gradientError(point, randomNumbers(11))).toBeLessThan(1e-8);
    const g = gradientOf(point, randomNumbers(12));
    for (const grad of evaluate(new Graph(g.inputs, g.outs), g.values)) expect(Math.max(...grad.data.map(Math.abs))).toBeGreaterThan(1e-3);
  });
});

/** Inputs on which a method claims to equal its parent. */
const examples: Readonly<Record<string, Run>> = {
  'one token': { x: random([B, 1, D], 6) },
  'a table of zeros': { weights: { 'wpe.weight': new NDArray('f32', [16, D], new Float32Array(16 * D)) } },
};

describe.each(Object.values(positions).filter((m) => m.parent))('$id', (method) => {
  const parent = positions[method.parent as string] as PositionMethod;
  const apart = async ({ settings, inputs }: Limit): Promise<number> => {
    const example = inputs === undefined ? {} : (examples[inputs] as Run);
    expect(example, `no example of "${inputs}"`).toBeDefined();
    return gap(await scores(method, { settings, ...example }), await scores(parent, { ...(example.x ? { x: example.x } : {}) }));
  };

  it.each(method.limits.map((l) => [JSON.stringify(l.settings), l] as const))('equals its parent at %s', async (_, limit) => {
    expect(await apart(limit)).toBeLessThanOrEqual(limit.tolerance);
  });

  it('differs from its parent elsewhere', async () => {
    expect(method.limits.length).toBeGreaterThan(0);
    expect(await apart({ settings: {}, tolerance: 0 })).toBeGreaterThan(1e-2);
  });
});

describe('the slot', () => {
  it('has methods with JSON defaults and known parents', () => {
    for (const method of Object.values(positions)) {
      expect(JSON.parse(JSON.stringify(method.defaults))).toEqual(method.defaults);
      if (method.parent !== undefined) expect(Object.keys(positions)).toContain(method.parent);
    }
  });
});

describe('alibi', () => {
  it.each([
    [8, [1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32, 1 / 64, 1 / 128, 1 / 256]],
    [2, [1 / 16, 1 / 256]],
    // no power of two: four slopes of 4 heads, then every second one of 8
    [6, [1 / 4, 1 / 16, 1 / 64, 1 / 256, 1 / 2, 1 / 8]],
    [1, [1 / 256]],
  ])('gives %i heads the slopes of the paper', (heads, slopes) => {
    expect(alibiSlopes(heads)).toEqual(slopes);
  });

  it('adds minus slope times distance, also where keys and queries stand apart', async () => {
    const method = positions.alibi as PositionMethod;
    const ids = [
      [4, 5],
      [9, 12],
    ];
    const run = compile(
      (at: Tensor) => {
        const place = { config, weights: {}, queries: { ids: at, limit: 16 }, keys: { count: 6 } };
        return method.apply({ ...place, settings: { slope_scale: 1.5 } }).bias as Tensor;
      },
      { backend: 'reference' },
    );
    const got = (await run.run(new NDArray('i32', [2, 2], Int32Array.from(ids.flat())))).toNested() as number[][][][];
    run.dispose();
    ids.forEach((row, b) => {
      row.forEach((t, i) => {
        for (let h = 0; h < H; h++)
          for (let s = 0; s < 6; s++) expect(got[b]?.[h]?.[i]?.[s]).toBeCloseTo(-1.5 * (alibiSlopes(H)[h] as number) * (t - s), 5);
      });
    });
  });
});

describe('learned positions', () => {
  it('are rows of the table, added to the embeddings', async () => {
    const method = positions.learned as PositionMethod;
    const weights = drawWeights(method, {});
    const table = (weights['wpe.weight'] as NDArray).toNested() as number[][];
    const run = compile(
      (w: Flat<Tensor>, x: Tensor, at: Tensor) => {
        const place: Positions = { ids: at, limit: 16 };
        return method.apply({ config, settings: {}, weights: nested(w), queries: place, keys: place }).embed?.(x) ?? x;
      },
      { backend: 'reference' },
    );
    const ids = [
      [0, 15, 3, 3],
      [7, 8, 9, 10],
    ];
    const got = (await run.run(weights, input, new NDArray('i32', [B, T], Int32Array.from(ids.flat())))).toNested() as number[][][];
    run.dispose();
    (input.toNested() as number[][][]).forEach((row, b) => {
      row.forEach((x, t) => {
        x.forEach((v, i) => {
          expect(got[b]?.[t]?.[i]).toBeCloseTo(v + (table[ids[b]?.[t] as number]?.[i] as number), 6);
        });
      });
    });
  });
});
