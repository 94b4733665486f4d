import { grad } from '../../src/tensor/autodiff/index.js';
import { Graph, inputTensor, makeNode, type Tensor } from '../../src/tensor/graph.js';
import * as ir from '../../src/tensor/ir.js';

/** fixtures/torch/decoder.json; decoder.py describes the run. */
export interface DecoderFixture {
  readonly config: Readonly<
    Record<
      | 'vocab'
      | 'width'
      | 'layers'
      | 'heads'
      | 'ffn'
      | 'context'
      | 'batch'
      | 'steps'
      | 'normEps'
      | 'ropeBase'
      | 'lr'
      | 'beta1'
      | 'beta2'
      | 'eps'
      | 'weightDecay'
      | 'clipNorm'
      | 'clipEps',
      number
    >
  >;
  readonly losses: readonly number[];
  readonly gradNorms: readonly number[];
  readonly firstGradNorms: Readonly<Record<string, number>>;
  readonly finalWeightNorms: Readonly<Record<string, number>>;
  readonly firstTokens: readonly (readonly number[])[];
}

type Config = DecoderFixture['config'];

const nextLcg = (x: number): number => (Math.imul(1664525, x) + 1013904223) >>> 0;

/** Names and shapes of the parameters, in order. */
export function decoderShapes({ vocab, width, layers, ffn }: Config): [string, number[]][] {
  const layer = (n: number): [string, number[]][] => [
    [`layers.${n}.norm1`, [width]],
    [`layers.${n}.qkv`, [width, 3 * width]],
    [`layers.${n}.out`, [width, width]],
    [`layers.${n}.norm2`, [width]],
    [`layers.${n}.gateUp`, [width, 2 * ffn]],
    [`layers.${n}.down`, [ffn, width]],
  ];
  return [['embed', [vocab, width]], ...Array.from({ length: layers }, (_, n) => layer(n)).flat(), ['norm', [width]]];
}

/** Initial value of parameter k. */
export function decoderWeights(k: number, shape: readonly number[]): Float64Array {
  let x = Math.imul(2654435761, k + 1) >>> 0;
  return Float64Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => {
    x = nextLcg(x);
    const u = (x >>> 16) / 2 ** 16 - 0.5;
    return shape.length === 1 ? 1 + u / 4 : u / 2;
  });
}

/** The first n tokens of the stream. */
export function decoderTokens(n: number, vocab: number): number[] {
  let x = 12345;
  let t = 0;
  return Array.from({ length: n }, () => {
    x = nextLcg(x);
    t = (3 * t + 7 + (x >>> 31)) % vocab;
    return t;
  });
}

/** Cosines and sines [context, headDim / 2] of the rotary positions. */
export function decoderAngles({ context, width, heads, ropeBase }: Config): { shape: number[]; cos: Float64Array; sin: Float64Array } {
  const half = width / heads / 2;
  const angles = Float64Array.from({ length: context * half }, (_, i) => Math.floor(i / half) * ropeBase ** (-(i % half) / half));
  return { shape: [context, half], cos: angles.map(Math.cos), sin: angles.map(Math.sin) };
}

export interface DecoderInputs {
  readonly params: Readonly<Record<string, Tensor>>;
  /** i32 [batch, context] */
  readonly ids: Tensor;
  /** i32 [batch, context] */
  readonly targets: Tensor;
  readonly cos: Tensor;
  readonly sin: Tensor;
}

/** Mean cross-entropy of the model in primitives and composites. */
export function decoderLoss(c: Config, { params, ids, targets, cos, sin }: DecoderInputs): Tensor {
  const p = (name: string): Tensor => params[name] as Tensor;
  const d = c.width / c.heads;
  const norm = (x: Tensor, weight: Tensor): Tensor => makeNode('rmsNorm', [x, weight], { eps: c.normEps }).out();
  let h = makeNode('gather', [p('embed'), ids], { axis: 0 }).out();
  for (let n = 0; n < c.layers; n++) {
    const w = (name: string): Tensor => p(`layers.${n}.${name}`);
    const qkv = ir.matmul(norm(h, w('norm1')), w('qkv'));
    const [q, k, v] = [0, 1, 2].map((i) => {
      const part = ir.reshape(ir.sliceAxis(qkv, 2, i * c.width, (i + 1) * c.width), [c.batch, c.context, c.heads, d]);
      const heads = ir.transpose(part, [0, 2, 1, 3]);
      return i === 2 ? heads : makeNode('rotary', [heads, cos, sin], { interleaved: false }).out();
    }) as [Tensor, Tensor, Tensor];
    const mixed = makeNode('attention', [q, k, v], { scale: 1 / Math.sqrt(d), causal: true, window: 0, softcap: 0 }).out();
    h = ir.add(h, ir.matmul(ir.reshape(ir.transpose(mixed, [0, 2, 1, 3]), [c.batch, c.context, c.width]), w('out')));
    const gateUp = ir.matmul(norm(h, w('norm2')), w('gateUp'));
    const gate = makeNode('silu', [ir.sliceAxis(gateUp, 2, 0, c.ffn)], {}).out();
    h = ir.add(h, ir.matmul(ir.mul(gate, ir.sliceAxis(gateUp, 2, c.ffn, 2 * c.ffn)), w('down')));
  }
  const rows = c.batch * c.context;
  const last = ir.reshape(norm(h, p('norm')), [rows, c.width]);
  const losses = makeNode('linearCrossEntropy', [last, p('embed'), ir.reshape(targets, [rows])], {}).out();
  return ir.mul(ir.sum(losses, [0], false), ir.scalar(1 / rows));
}

/** (params..., ids, targets, cos, sin) -> (loss, gradients...). */
export function decoderGraph(c: Config): Graph {
  const shapes = decoderShapes(c);
  const params = Object.fromEntries(shapes.map(([name, shape]) => [name, inputTensor(name, shape, 'f32')]));
  const tokens = (name: string): Tensor => inputTensor(name, [c.batch, c.context], 'i32');
  const angles = (name: string): Tensor => inputTensor(name, decoderAngles(c).shape, 'f32');
  const inputs = { params, ids: tokens('ids'), targets: tokens('targets'), cos: angles('cos'), sin: angles('sin') };
  const loss = decoderLoss(c, inputs);
  const leaves = Object.values(params);
  return new Graph([...leaves, inputs.ids, inputs.targets, inputs.cos, inputs.sin], [loss, ...Object.values(grad(loss, params))]);
}
