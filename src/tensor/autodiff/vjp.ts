import { shapeEq, shapeStr } from '../dim.js';
import { isFloat } from '../dtype.js';
import { OpError } from '../errors.js';
import { type Node, type Tensor, topoSort } from '../graph.js';
import * as ir from '../ir.js';
import { vjpRules } from './rules.js';
import type { NoGrad, VjpRule } from './types.js';

/** Nodes through which a change of `inputs` can reach `outputs`. */
function dependents(order: readonly Node[], inputs: ReadonlySet<Tensor>): Set<Node> {
  const touched = new Set<Node>();
  for (const node of order) {
    if (node.op === 'stopGradient') continue;
    if (node.inputs.some((t) => inputs.has(t) || touched.has(t.node)) || node.outs.some((t) => inputs.has(t))) touched.add(node);
  }
  return touched;
}

/**
 * Vector-Jacobian product in reverse mode: sum_k cotangents[k] . d outputs[k] / d inputs[i] for every i; null where nothing depends on it.
 * The results are graph nodes and can be differentiated again.
 *
 * @param outputs float tensors
 * @param inputs float tensors, any nodes of the graph (parameters or intermediate values)
 * @param cotangents one for each output, of its shape, f32
 * @throws OpError for integer inputs or outputs, wrong cotangent shapes, or a path through an op that has no gradient
 */
export function vjp(outputs: readonly Tensor[], inputs: readonly Tensor[], cotangents: readonly Tensor[]): (Tensor | null)[] {
  for (const t of inputs)
    if (!isFloat(t.dtype))
      throw new OpError(
        'grad',
        `cannot differentiate with respect to ${t.dtype}${shapeStr(t.shape)}; only floating-point values have gradients`,
      );
  const ct = new Map<Tensor, Tensor>();
  const accumulate = (t: Tensor, g: Tensor): void => {
    const old = ct.get(t);
    ct.set(t, old ? ir.add(old, g) : g);
  };
  outputs.forEach((t, i) => {
    const g = cotangents[i];
    if (!isFloat(t.dtype))
      throw new OpError('grad', `the output ${t.dtype}${shapeStr(t.shape)} is not floating-point; cast the loss to f32`);
    if (!g || !shapeEq(g.shape, t.shape))
      throw new OpError('grad', `cotangent ${g ? shapeStr(g.shape) : 'missing'} for an output of shape ${shapeStr(t.shape)}`);
    accumulate(t, g);
  });

  const wanted = new Set(inputs);
  const order = topoSort(outputs);
  const touched = dependents(order, wanted);
  for (let i = order.length - 1; i >= 0; i--) {
    const node = order[i] as Node;
    if (!touched.has(node)) continue;
    const cts = node.outs.map((t) => ct.get(t) ?? null);
    if (cts.every((c) => c === null)) continue;
    const needs = node.inputs.map((t) => isFloat(t.dtype) && (wanted.has(t) || touched.has(t.node)));
    if (!needs.some(Boolean)) continue;
    const rule = vjpRules[node.op] as VjpRule<Node['op']> | NoGrad;
    if ('noGrad' in rule) throw new OpError(node.op, `has no gradient: ${rule.noGrad}`, node.where);
    const grads = rule(node, cts, needs);
    node.inputs.forEach((t, k) => {
      const g = grads[k];
      if (g && needs[k]) accumulate(t, g);
    });
  }
  return inputs.map((t) => ct.get(t) ?? null);
}
