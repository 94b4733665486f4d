import type { Node } from '../graph.js';
import { type Builder, operand, type Value } from './builder.js';
import type { OnnxGraph, OnnxValueInfo } from './encoder.js';
import { expandedBefore, type LoweringRules } from './rule.js';
import { removeUnused } from './sweep.js';

/** Lowers all nodes of a graph into a builder of its own; index.ts provides it, since it needs the whole table of rules. */
export type LowerBody = (parent: Builder, body: Node<'scan'>['attrs']['body'], bindInputs: (inner: Builder) => void) => Builder;

/** The rules of loops, given the function that lowers their bodies. */
export const controlRules = (lowerBody: LowerBody): LoweringRules<'scan' | 'call' | 'customVjp'> => ({
  scan: (c, node) => {
    const { body, numConsts, numCarries, reverse } = node.attrs;
    const first = numConsts + numCarries;
    if (operand(node, first).shape[0] === 0) {
      // the kernel refuses to run no steps
      const ys = node.outs.slice(numCarries).map((t) => c.empty(t.dtype, t.shape));
      return [...c.values(node.inputs.slice(numConsts, first)), ...ys];
    }
    const inputs: OnnxValueInfo[] = body.inputs.slice(numConsts).map((t, i) => ({
      name: `${c.bodyScope}in.${i}`,
      dtype: t.dtype,
      shape: t.shape,
    }));
    const inner = lowerBody(c, body, (b) => {
      for (const [i, t] of body.inputs.entries()) {
        // what does not change is read from the outer graph, which a body sees
        if (i < numConsts) b.bind(t, c.input(node, i));
        else b.bind(t, (inputs[i - numConsts] as OnnxValueInfo).name);
      }
    });
    const outputs = distinctOutputs(inner);
    const graph: OnnxGraph = {
      kind: 'graph',
      name: `${c.bodyScope}body`,
      nodes: removeUnused(inner.nodes, outputs),
      inputs,
      outputs: body.outputs.map((t, i) => ({ name: outputs[i] as Value, dtype: t.dtype, shape: t.shape })),
      initializers: [],
    };
    const numScans = body.inputs.length - first;
    const direction = (n: number): number[] => new Array<number>(n).fill(reverse ? 1 : 0);
    return c.multi('Scan', c.values(node.inputs.slice(numConsts)), body.outputs.length, {
      body: graph,
      num_scan_inputs: numScans,
      scan_input_directions: direction(numScans),
      scan_output_directions: direction(body.outputs.length - numCarries),
    });
  },
  call: expandedBefore,
  customVjp: (c, node) => c.values(node.inputs.slice(node.attrs.numArgs, node.attrs.numArgs + node.attrs.numOuts)),
});

/** Names of a graph's outputs, each made by a node of that graph and listed once: inputs, constants and repetitions are copied. */
export function distinctOutputs(c: Builder): Value[] {
  const made = new Set(c.nodes.flatMap((n) => n.outputs));
  const taken = new Set<Value>();
  return c.graph.outputs.map((t, i) => {
    let value = c.value(t);
    if (!made.has(value) || taken.has(value)) {
      const name = `${c.scope}out.${i}`;
      c.nodes.push({ name, op: 'Identity', domain: '', inputs: [value], outputs: [name], attrs: {} });
      value = name;
    }
    taken.add(value);
    return value;
  });
}
