export * from './causalModel.js';
export * from './checkpoint/index.js';
export * from './decoder/index.js';
export { type ExportFormat, type ExportOptions, exportFormats, exportModel, onnxLogits } from './exportModel.js';
export * from './families/index.js';
export * from './tokenizer/index.js';
