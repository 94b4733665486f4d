export * from './perParameter.js';
export * from './schedule/index.js';
export * from './transform/index.js';
