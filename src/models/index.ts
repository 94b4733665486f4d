export * from './causalModel.js';
export * from './checkpoint/index.js';
export * from './decoder/index.js';
export * from './families/index.js';
export * from './tokenizer/index.js';
