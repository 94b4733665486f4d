import { type Dim, dimEq, type Shape } from '../dim.js';
import { getOrMake } from '../getOrMake.js';
import { isOp, type Node, type Tensor } from '../graph.js';
import { type Builder, MICROSOFT, operand, type Value } from './builder.js';
import { float } from './encoder.js';
import { expandedBefore, type LoweringRules } from './rule.js';

/** [T, d/2] where cos or sin is that, or that behind axes of size 1. */
export function angleTable(table: Tensor, x: Tensor): Shape | undefined {
  const rows = table.rank >= 2 ? (table.shape[table.rank - 2] as Dim) : 1;
  const lead = table.shape.slice(0, -2);
  if (table.rank < 2 || !lead.every((d) => d === 1) || !dimEq(rows, x.shape[x.rank - 2] as Dim)) return undefined;
  return table.shape.slice(-2);
}

function rotary(c: Builder, node: Node<'rotary'>): Value {
  const x = operand(node, 0);
  const tables = [operand(node, 1), operand(node, 2)].map((t) => {
    const shape = angleTable(t, x);
    return shape ? c.reshape(c.value(t), t.shape, shape) : expandedBefore(c, node);
  });
  const attrs = { interleaved: node.attrs.interleaved ? 1 : 0 };
  // position_ids of one element is the position of the first row
  return c.op('RotaryEmbedding', [c.value(x), c.ints([0]), ...tables], attrs, MICROSOFT);
}

/**
 * GroupQueryAttention over a preallocated cache. It writes the new rows in place where the caller binds the outputs to the same
 * memory as pastK and pastV; otherwise the cache is copied first.
 */
function cachedAttention(c: Builder, node: Node<'cachedAttention'>): readonly Value[] {
  const { heads, kvHeads, scale } = node.attrs;
  const [pastK, pastV] = c.values(node.inputs.slice(3, 5)) as [Value, Value];
  const [batch, steps] = operand(node, 0).shape as readonly [Dim, Dim];
  const { last, longest } = cacheLengths(c, operand(node, 5), steps);
  const tables = c.values(node.inputs.slice(6));
  // the kernel itself rotates heads of multiples of 16 values only
  const apart = tables.length > 0 && (operand(node, 3).shape[3] as number) % 16 !== 0;
  const joint = apart ? undefined : jointProjection(node);
  const [q, k, v] = c.values(node.inputs.slice(0, 3)) as [Value, Value, Value];
  const turned = (x: Value): Value =>
    apart ? c.op('RotaryEmbedding', [x, firstPositions(c, operand(node, 5), batch), ...tables], {}, MICROSOFT) : x;
  const projections = joint ? [c.value(joint), '', ''] : [turned(q), turned(k), v];
  return c.multi(
    'GroupQueryAttention',
    [...projections, pastK, pastV, last, longest, ...(apart ? [] : tables)],
    3,
    { num_heads: heads, kv_num_heads: kvHeads, scale: float(scale), do_rotary: tables.length && !apart ? 1 : 0 },
    MICROSOFT,
  );
}

const positionsOf = new WeakMap<Builder, Map<string, Value>>();

/** Positions of the first new token of each row as RotaryEmbedding takes them: [1] for a single row, else [B, 1]. */
function firstPositions(c: Builder, length: Tensor, batch: Dim): Value {
  const known = getOrMake(positionsOf, c, () => new Map<string, Value>());
  return getOrMake(known, `${length.node.id}.${length.index}`, () => {
    const positions = c.cast(c.value(length), 'i64');
    return batch === 1 ? positions : c.reshape(positions, length.shape, [batch, 1]);
  });
}

/** The value of which q, k and v are the neighbouring column ranges, in this order: the kernel then takes it whole. */
function jointProjection(node: Node<'cachedAttention'>): Tensor | undefined {
  const slices = node.inputs.slice(0, 3).map((t) => (isOp(t.node, 'slice') ? t.node : undefined));
  const source = slices[0]?.inputs[0];
  let at: Dim = 0;
  for (const s of slices) {
    if (!source || s?.inputs[0] !== source || s.attrs.steps.some((step) => step !== 1)) return undefined;
    const whole = [0, 1].every((axis) => s.attrs.starts[axis] === 0 && dimEq(s.attrs.limits[axis] as Dim, source.shape[axis] as Dim));
    if (!whole || s.attrs.starts[2] !== at) return undefined;
    at = s.attrs.limits[2] as Dim;
  }
  return source && dimEq(at, source.shape[2] as Dim) ? source : undefined;
}

/** Positions of the last token of each row, and the greatest length, of all layers' caches that are filled alike. */
const lengthsOf = new WeakMap<Builder, Map<string, { last: Value; longest: Value }>>();

function cacheLengths(c: Builder, length: Tensor, steps: Dim): { last: Value; longest: Value } {
  const known = getOrMake(lengthsOf, c, () => new Map<string, { last: Value; longest: Value }>());
  return getOrMake(known, `${length.node.id}.${length.index}+${steps}`, () => {
    const total = c.op('Add', [c.value(length), c.cast(c.dims([steps]), 'i32')]);
    return {
      last: c.op('Sub', [total, c.scalar(1, 'i32')]),
      longest: c.op('ReduceMax', [total, c.ints([0])], { keepdims: 1 }),
    };
  });
}

export const nnRules: LoweringRules<
  | 'softmax'
  | 'logSoftmax'
  | 'rmsNorm'
  | 'layerNorm'
  | 'silu'
  | 'gelu'
  | 'rotary'
  | 'attention'
  | 'attentionGrad'
  | 'cachedAttention'
  | 'crossEntropy'
  | 'linearCrossEntropy'
  | 'linearCrossEntropyGrad'
> = {
  softmax: (c, node) => c.op('Softmax', [c.input(node, 0)], { axis: node.attrs.axis }),
  logSoftmax: (c, node) => c.op('LogSoftmax', [c.input(node, 0)], { axis: node.attrs.axis }),
  rmsNorm: (c, node) =>
    // an ONNX Runtime operator that lives in ONNX's own domain; its second output is 1/rms
    c.multi('SimplifiedLayerNormalization', c.values(node.inputs), 2, { axis: -1, epsilon: float(node.attrs.eps), stash_type: 1 }),
  layerNorm: (c, node) =>
    c.multi('LayerNormalization', c.values(node.inputs), 3, { axis: -1, epsilon: float(node.attrs.eps), stash_type: 1 }),
  silu: expandedBefore,
  gelu: (c, node) => c.op('Gelu', [c.input(node, 0)], { approximate: node.attrs.approximate }),
  rotary,
  attention: expandedBefore,
  attentionGrad: expandedBefore,
  cachedAttention,
  crossEntropy: expandedBefore,
  linearCrossEntropy: expandedBefore,
  linearCrossEntropyGrad: expandedBefore,
};
