import { dimEq, shapeEq, shapeStr } from '../dim.js';
import { OpError } from '../errors.js';
import type { Spec, Tensor } from '../graph.js';
import { dimAt, expectInteger, type ShapeRules } from './check.js';

const specStr = (s: Spec): string => `${s.dtype}${shapeStr(s.shape)}`;
const specOf = (t: Tensor): Spec => ({ shape: t.shape, dtype: t.dtype });

function expectSpec(op: string, what: string, got: Spec, expected: Spec): void {
  if (got.dtype === expected.dtype && shapeEq(got.shape, expected.shape)) return;
  throw new OpError(op, `${what} is ${specStr(got)} but must be ${specStr(expected)}`);
}

const at = (xs: readonly Tensor[], i: number): Tensor => xs[i] as Tensor;

export const structureRules: ShapeRules<'scan' | 'call' | 'customVjp'> = {
  scan: (inputs, { body, numConsts, numCarries }) => {
    const first = numConsts + numCarries;
    if (inputs.length !== body.inputs.length)
      throw new OpError('scan', `the body takes ${body.inputs.length} arguments, got ${inputs.length}`);
    if (body.outputs.length < numCarries)
      throw new OpError('scan', `the body returns ${body.outputs.length} values but carries ${numCarries}`);
    if (inputs.length <= first) throw new OpError('scan', 'needs at least one xs, whose leading axis counts the iterations');
    const x0 = at(inputs, first);
    if (x0.rank < 1) throw new OpError('scan', 'each xs needs a leading axis of iterations, got a scalar');
    const count = dimAt(x0, 0);
    for (const [i, arg] of body.inputs.entries()) {
      const given = specOf(at(inputs, i));
      if (i < first) {
        expectSpec('scan', i < numConsts ? `const ${i}` : `initial carry ${i - numConsts}`, given, specOf(arg));
        continue;
      }
      const head = given.shape[0];
      if (head === undefined || !dimEq(head, count))
        throw new OpError('scan', `xs ${i - first} is ${specStr(given)}, but the leading axis of xs 0 is ${count}`);
      expectSpec('scan', `a slice of xs ${i - first}`, { shape: given.shape.slice(1), dtype: given.dtype }, specOf(arg));
    }
    for (let i = 0; i < numCarries; i++)
      expectSpec('scan', `carry ${i} returned by the body`, specOf(at(body.outputs, i)), specOf(at(body.inputs, numConsts + i)));
    return body.outputs.map((t, i) => (i < numCarries ? specOf(t) : { shape: [count, ...t.shape], dtype: t.dtype }));
  },
  call: (inputs, { body, label }) => {
    const op = `call ${label}`;
    if (inputs.length !== body.inputs.length) throw new OpError(op, `the body takes ${body.inputs.length} arguments, got ${inputs.length}`);
    for (const [i, arg] of body.inputs.entries()) expectSpec(op, `argument ${i}`, specOf(at(inputs, i)), specOf(arg));
    return body.outputs.map(specOf);
  },
  customVjp: (inputs, { numArgs, numOuts }) => {
    expectInteger('customVjp', 'numArgs', numArgs, 0);
    expectInteger('customVjp', 'numOuts', numOuts, 1);
    if (inputs.length < numArgs + numOuts)
      throw new OpError('customVjp', `needs ${numArgs} arguments and ${numOuts} results, got ${inputs.length} operands`);
    return inputs.slice(numArgs, numArgs + numOuts).map(specOf);
  },
};
