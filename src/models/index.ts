export * from './causalModel.js';
export * from './decoder/index.js';
