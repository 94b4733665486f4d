export * from './perParameter.js';
export * from './schedule.js';
export * from './transform/index.js';
