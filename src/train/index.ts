export * from './checkpoints.js';
export * from './objective/index.js';
export * from './pretrain.js';
export * as rl from './rl/index.js';
export * from './rl.js';
export * from './step.js';
