import { isOp, type Node } from '../graph.js';
import type { Target } from '../prims.js';
import { operand } from './builder.js';
import { angleTable } from './lowerNn.js';

/** Targets that run ONNX Runtime's CPU kernels, contrib operators included. */
const hasCpuKernels = (target: Target): boolean => target === 'cpu' || target === 'wasm';

/**
 * True where the lowering keeps a composite whole because the target has a good kernel for it (ENGINE.md section 4). All others are
 * expanded into primitives before lowering. `generic` keeps only what is an operator of the ONNX standard.
 */
export function isNative(node: Node, target: Target): boolean {
  switch (node.op) {
    case 'softmax':
    case 'gelu':
      return true;
    case 'logSoftmax':
      // no WebGPU kernel: it would run on the CPU, with copies both ways
      return target !== 'webgpu';
    case 'layerNorm':
      return target !== 'webgpu';
    case 'rmsNorm':
      return hasCpuKernels(target) || target === 'cuda';
    case 'rotary': {
      const x = operand(node, 0);
      return hasCpuKernels(target) && x.rank === 4 && [1, 2].every((i) => angleTable(operand(node, i), x) !== undefined);
    }
    case 'cachedAttention': {
      if (!hasCpuKernels(target) || !isOp(node, 'cachedAttention')) return false;
      const [batch, steps] = operand(node, 0).shape;
      const headSize = operand(node, 3).shape[3];
      // several new tokens for several sequences of different lengths have no kernel; heads come in multiples of 8 values
      return (batch === 1 || steps === 1) && typeof headSize === 'number' && headSize % 8 === 0;
    }
    default:
      return false;
  }
}
