export * from './checkpoints.js';
export * from './objective/index.js';
export * from './pretrain.js';
export * from './step.js';
