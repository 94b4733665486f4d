export { asHuggingFace, configJson, type HuggingFaceModel, type ModelToWrite, type SpecialTokens } from './checkpointOf.js';
export type { ConfigJson } from './configReader.js';
export { ConfigReader } from './configReader.js';
export type { Family } from './family.js';
export { type LoadedModel, type LoadOptions, loadModel, loadParams } from './load.js';
export type { FusedModules, Layout } from './mapping.js';
export { families, familyOf, fittingFamily, misfits, type ReadConfig, readConfig } from './registry.js';
export { type SaveOptions, saveModel } from './save.js';
