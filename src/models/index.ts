export * from './causalModel.js';
export * from './decoder/index.js';
export * from './families/index.js';
export * from './tokenizer/index.js';
