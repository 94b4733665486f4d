/** The engine: symbolic tensors, gradients, compilation to ONNX Runtime, and the float64 reference. */

export { availableBackends } from '#platform';
export { allocate, array, full as fullArray, NDArray, ones as onesArray, zeros as zerosArray } from './array.js';
export { dequantize, grad, valueAndGrad, vjp } from './autodiff/index.js';
export type { Backend, BackendName, Device } from './backends/types.js';
export { bucketLength, padToBucket } from './compile/bucket.js';
export { Compiled, type CompileOptions, compile, type HostIn, type HostOut } from './compile/compile.js';
export type { ProfileOptions, ProfileReport, ProfileRow } from './compile/profile.js';
export { liveSessions } from './compile/sessions.js';
export { ArraySpec, type HostLeaf, spec } from './compile/template.js';
export { type Dim, type Shape, SymDim, sym } from './dim.js';
export { bf16ToF32, type DType, dtypes, f16ToF32, f32ToBf16, f32ToF16, type TypedArray } from './dtype.js';
export { BackendError, DisposedError, OpError, VitroError } from './errors.js';
export { Graph, Tensor } from './graph.js';
export * as linalg from './linalg.js';
export * from './ops/index.js';
export { dequantizeBlocks, type QuantizedBlocks, type QuantizeOptions, quantizeBlocks } from './quant.js';
export { foldIn, randomKey, splitKey } from './random/threefry.js';
export * as random from './random.js';
export { evaluate, fromNDArray, type RefArray, toNDArray } from './reference/index.js';
export { collectSites, isWatched, site, withSites } from './site.js';
export { mapTree, type Tree, treeDef, treeEntries, treeLeaves, treeUnflatten } from './tree.js';
