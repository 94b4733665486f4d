export * from './bayes.js';
export * from './bootstrap.js';
export * from './calibration.js';
export * from './languageModel.js';
export * from './perplexity.js';
export * from './sampling.js';
export * from './statistics.js';
