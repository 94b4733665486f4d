import { dimMul, type Shape, shapeStr } from '../dim.js';
import { OpError } from '../errors.js';
import type { Spec, Tensor } from '../graph.js';
import type { AttentionAttrs } from '../prims.js';
import {
  dimAt,
  expectBroadcastsTo,
  expectDType,
  expectFinite,
  expectFloat,
  expectInteger,
  expectRank,
  expectShape,
  operands,
  type ShapeRules,
} from './check.js';

function expectHeads(op: string, heads: unknown, kvHeads: unknown): void {
  if (typeof heads !== 'number' || typeof kvHeads !== 'number' || kvHeads < 1 || heads % kvHeads !== 0)
    throw new OpError(op, `${heads} query heads must be a fixed multiple of ${kvHeads} key/value heads`);
}

/** Checks q, k, v and bias; returns the shape of the result. */
function checkAttention(op: string, q: Tensor, k: Tensor, v: Tensor, bias: Tensor | undefined, attrs: AttentionAttrs): Shape {
  expectFloat(op, q, k, v);
  expectRank(op, 'q', q, 4, '[B, H, Tq, d]');
  expectRank(op, 'k', k, 4, '[B, Hkv, Tk, d]');
  expectRank(op, 'v', v, 4, '[B, Hkv, Tk, dv]');
  const [batch, heads, tq, d] = [dimAt(q, 0), dimAt(q, 1), dimAt(q, 2), dimAt(q, 3)];
  const [kvHeads, tk] = [dimAt(k, 1), dimAt(k, 2)];
  expectHeads(op, heads, kvHeads);
  expectShape(op, 'k', k.shape, [batch, kvHeads, tk, d], `[B, Hkv, Tk, d] with q ${shapeStr(q.shape)}`);
  expectShape(op, 'v', v.shape, [batch, kvHeads, tk, dimAt(v, 3)], `[B, Hkv, Tk, dv] with k ${shapeStr(k.shape)}`);
  if (bias) {
    expectFloat(op, bias);
    expectBroadcastsTo(op, 'bias', bias.shape, [batch, heads, tq, tk]);
  }
  expectFinite(op, 'scale', attrs.scale);
  expectInteger(op, 'window', attrs.window, 0);
  if (attrs.window > 0 && !attrs.causal) throw new OpError(op, 'a window needs causal: true; give any other band as a bias');
  expectFinite(op, 'softcap', attrs.softcap);
  if (attrs.softcap < 0) throw new OpError(op, `softcap must be positive, or 0 for none, got ${attrs.softcap}`);
  return [batch, heads, tq, dimAt(v, 3)];
}

const like = (t: Tensor): Spec => ({ shape: t.shape, dtype: t.dtype });

export const attentionRules: ShapeRules<'attention' | 'attentionGrad' | 'cachedAttention' | 'rotary'> = {
  attention: (inputs, attrs) => {
    const [q, k, v] = operands('attention', inputs.slice(0, 3), 3);
    if (inputs.length > 4) throw new OpError('attention', `needs 3 or 4 operands, got ${inputs.length}`);
    return [{ shape: checkAttention('attention', q, k, v, inputs[3], attrs), dtype: 'f32' }];
  },
  attentionGrad: (inputs, attrs) => {
    const op = 'attentionGrad';
    const [q, k, v, out, gOut] = operands(op, inputs.slice(0, 5), 5);
    if (inputs.length > 6) throw new OpError(op, `needs 5 or 6 operands, got ${inputs.length}`);
    const bias = inputs[5];
    const shape = checkAttention(op, q, k, v, bias, attrs);
    expectFloat(op, out, gOut);
    expectShape(op, 'out', out.shape, shape, '[B, H, Tq, dv]');
    expectShape(op, 'gOut', gOut.shape, shape, '[B, H, Tq, dv]');
    return [like(q), like(k), like(v), ...(bias ? [like(bias)] : [])];
  },
  cachedAttention: (inputs, { heads, kvHeads, scale }) => {
    const op = 'cachedAttention';
    if (inputs.length !== 6 && inputs.length !== 8) throw new OpError(op, `needs 6 operands, or 8 with cos and sin, got ${inputs.length}`);
    const [q, k, v, pastK, pastV, length] = operands(op, inputs.slice(0, 6), 6);
    expectInteger(op, 'heads', heads, 1);
    expectInteger(op, 'kvHeads', kvHeads, 1);
    expectHeads(op, heads, kvHeads);
    expectFinite(op, 'scale', scale);
    expectFloat(op, q, k, v, pastK, pastV);
    expectRank(op, 'q', q, 3, '[B, S, H*d]');
    expectRank(op, 'pastK', pastK, 4, '[B, Hkv, C, d]');
    const [batch, steps, capacity, d] = [dimAt(q, 0), dimAt(q, 1), dimAt(pastK, 2), dimAt(pastK, 3)];
    expectShape(op, 'pastK', pastK.shape, [batch, kvHeads, capacity, d], '[B, Hkv, C, d]');
    expectShape(op, 'pastV', pastV.shape, pastK.shape, "pastK's shape");
    expectShape(op, 'q', q.shape, [batch, steps, dimMul(heads, d)], '[B, S, H*d]');
    expectShape(op, 'k', k.shape, [batch, steps, dimMul(kvHeads, d)], '[B, S, Hkv*d]');
    expectShape(op, 'v', v.shape, k.shape, "k's shape");
    expectDType(op, 'length', length.dtype, ['i32']);
    expectShape(op, 'length', length.shape, [batch], '[B]');
    const [cos, sin] = inputs.slice(6);
    if (cos && sin) {
      expectFloat(op, cos, sin);
      if (typeof d !== 'number' || d % 2 !== 0) throw new OpError(op, `a rotation needs an even head size, got ${d}`);
      expectRank(op, 'cos', cos, 2, '[P, d/2]');
      expectShape(op, 'cos', cos.shape, [dimAt(cos, 0), d / 2], '[P, d/2]');
      expectShape(op, 'sin', sin.shape, cos.shape, "cos's shape");
    }
    if (typeof steps === 'number' && typeof capacity === 'number' && steps > capacity)
      throw new OpError(op, `${steps} new tokens exceed the cache of ${capacity}`);
    return [like(q), like(pastK), like(pastV)];
  },
  rotary: (inputs, _attrs) => {
    const [x, cos, sin] = operands('rotary', inputs, 3);
    expectFloat('rotary', x, cos, sin);
    const d = x.rank >= 2 ? dimAt(x, -1) : undefined;
    if (typeof d !== 'number' || d % 2 !== 0)
      throw new OpError('rotary', `x must be [..., T, d] with an even, fixed d, got ${shapeStr(x.shape)}`);
    const half = [...x.shape.slice(0, -1), d / 2];
    for (const [name, t] of [
      ['cos', cos],
      ['sin', sin],
    ] as const) {
      if (t.rank < 1 || dimAt(t, -1) !== d / 2)
        throw new OpError(
          'rotary',
          `${name} must be [.., T, d/2] with d/2 = ${d / 2} for x ${shapeStr(x.shape)}, got ${shapeStr(t.shape)}`,
        );
      expectBroadcastsTo('rotary', name, t.shape, half);
    }
    return [like(x)];
  },
};
