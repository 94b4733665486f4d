import { isFloat } from '../dtype.js';
import { Graph, inputTensor, makeNode, type Node, type Tensor } from '../graph.js';
import * as ir from '../ir.js';
import { closeOver } from '../ops/closure.js';
import { substitute } from '../passes/rewrite.js';
import type { VjpPart } from './types.js';
import { vjp } from './vjp.js';

const inputLike = (name: string, t: Tensor): Tensor => inputTensor(name, t.shape, isFloat(t.dtype) ? 'f32' : t.dtype);
const sameInput = (name: string, t: Tensor): Tensor => inputTensor(name, t.shape, t.dtype);

/**
 * The carries before each step of a scan: its own last per-step results where they are that already (as ops.scan and the rule below make
 * them), else results of a scan that runs again.
 */
function carriesBefore(node: Node<'scan'>): readonly Tensor[] {
  const { body, numConsts, numCarries } = node.attrs;
  const carries = body.inputs.slice(numConsts, numConsts + numCarries);
  const own = node.outs.length - numCarries;
  if (own >= numCarries && carries.every((t, i) => body.outputs[own + i] === t)) return node.outs.slice(own);
  const again = makeNode('scan', node.inputs, { ...node.attrs, body: new Graph(body.inputs, [...body.outputs, ...carries]) }, node.trace);
  return again.outs.slice(node.outs.length);
}

export const controlVjp: VjpPart<'scan' | 'call' | 'customVjp'> = {
  // A call of the body's adjoint, which recomputes the body: nothing but the arguments is kept between the two. (Only the backward rule of a
  // customVjp can bring in further outer values.)
  call: (node, cotangents, needs) => {
    const { body, label } = node.attrs;
    const args = body.inputs.map((t, i) => sameInput(`a${i}`, t));
    const outs = substitute(body.outputs, new Map(body.inputs.map((t, i) => [t, args[i] as Tensor])));
    const live = outs.flatMap((t, i) => (cotangents[i] ? [{ out: t, ct: cotangents[i] as Tensor }] : []));
    const seeds = live.map(({ ct }, i) => inputLike(`g${i}`, ct));
    const wanted = args.filter((_, i) => needs[i]);
    const grads = vjp(
      live.map((l) => l.out),
      wanted,
      seeds,
    );
    const present = grads.filter((g): g is Tensor => g !== null);
    if (present.length === 0) return node.inputs.map(() => null);
    const closed = closeOver([...args, ...seeds], present, { hoist: false });
    const backward = makeNode('call', [...node.inputs, ...live.map((l) => l.ct), ...closed.lifted], {
      body: new Graph([...args, ...seeds, ...closed.inputs], closed.outputs),
      label: `${label}.grad`,
      concurrent: node.attrs.concurrent,
    });
    let nextWanted = 0;
    let nextOut = 0;
    return node.inputs.map((_, i) => (needs[i] ? (grads[nextWanted++] ? backward.out(nextOut++) : null) : null));
  },

  // The adjoint is a scan in the other direction over the stored carries; each step recomputes the body.
  scan: (node, cotangents, needs) => {
    const { body, numConsts, numCarries, reverse } = node.attrs;
    const consts = node.inputs.slice(0, numConsts);
    const xs = node.inputs.slice(numConsts + numCarries);

    const storedCarries = carriesBefore(node);

    // One backward step: (consts | carry cotangents, const cotangents | carry, x, y cotangents).
    const args = body.inputs.map((t, i) => sameInput(`a${i}`, t));
    const outs = substitute(body.outputs, new Map(body.inputs.map((t, i) => [t, args[i] as Tensor])));
    const yOuts = outs.slice(numCarries);
    const liveY = yOuts.flatMap((t, i) => (cotangents[numCarries + i] ? [{ t, g: cotangents[numCarries + i] as Tensor }] : []));
    const stepCarries = args.slice(numConsts, numConsts + numCarries);
    const floatCarry = stepCarries.map((t) => isFloat(t.dtype));
    const carrySeeds = stepCarries.flatMap((t, i) => (floatCarry[i] ? [inputLike(`gc${i}`, t)] : []));
    const liveCarryOuts = outs.slice(0, numCarries).filter((_, i) => floatCarry[i]);
    const ySeeds = liveY.map(({ t }, i) => inputLike(`gy${i}`, t));
    const wantedConsts = consts.map((_, i) => needs[i] ?? false);
    const wantedXs = xs.map((_, i) => needs[numConsts + numCarries + i] ?? false);
    const constArgs = args.slice(0, numConsts).filter((_, i) => wantedConsts[i]);
    const carryArgs = stepCarries.filter((_, i) => floatCarry[i]);
    const xArgs = args.slice(numConsts + numCarries).filter((_, i) => wantedXs[i]);
    const grads = vjp([...liveCarryOuts, ...liveY.map((l) => l.t)], [...carryArgs, ...constArgs, ...xArgs], [...carrySeeds, ...ySeeds]);
    const orZero = (g: Tensor | null | undefined, like: Tensor): Tensor => g ?? ir.zerosOf(like.shape);
    const constSums = constArgs.map((t, i) => inputLike(`gk${i}`, t));
    const stepOuts = [
      ...carryArgs.map((t, i) => orZero(grads[i], t)),
      ...constArgs.map((t, i) => ir.add(constSums[i] as Tensor, orZero(grads[carryArgs.length + i], t))),
      ...xArgs.map((t, i) => orZero(grads[carryArgs.length + constArgs.length + i], t)),
    ];
    const stepXs = args.slice(numConsts + numCarries);
    const closed = closeOver([...args, ...carrySeeds, ...constSums, ...ySeeds], stepOuts, { hoist: false });
    const backward = makeNode(
      'scan',
      [
        ...closed.lifted,
        ...consts,
        ...stepCarries.flatMap((t, i) => (floatCarry[i] ? [cotangents[i] ?? ir.zerosOf(t.shape)] : [])),
        ...constArgs.map((t) => ir.zerosOf(t.shape)),
        ...storedCarries,
        ...xs,
        ...liveY.map((l) => l.g),
      ],
      {
        body: new Graph(
          [...closed.inputs, ...args.slice(0, numConsts), ...carrySeeds, ...constSums, ...stepCarries, ...stepXs, ...ySeeds],
          [...closed.outputs, ...carrySeeds, ...constSums],
        ),
        numConsts: closed.lifted.length + numConsts,
        numCarries: carrySeeds.length + constSums.length,
        reverse: !reverse,
      },
    );
    let nextCarry = 0;
    let nextConst = carrySeeds.length;
    let nextX = carrySeeds.length + constSums.length;
    return node.inputs.map((_, i) => {
      if (i < numConsts) return wantedConsts[i] ? backward.out(nextConst++) : null;
      if (i < numConsts + numCarries) return floatCarry[i - numConsts] ? backward.out(nextCarry++) : null;
      return wantedXs[i - numConsts - numCarries] ? backward.out(nextX++) : null;
    });
  },

  customVjp: (node, cotangents) => {
    const { numArgs, numOuts, backward } = node.attrs;
    const seeds = node.outs.map((t, i) => cotangents[i] ?? ir.zerosOf(t.shape));
    const saved = node.inputs.slice(numArgs + numOuts);
    const grads = backward(seeds, saved);
    return node.inputs.map((_, i) => (i < numArgs ? (grads[i] ?? null) : null));
  },
};
