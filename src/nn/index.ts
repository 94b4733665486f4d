export * from './attention.js';
export * from './feedForward.js';
export * from './init.js';
