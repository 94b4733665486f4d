export type { Completion, FinishReason, TokenEvent } from './completionRow.js';
export { DecodeEngine, type EngineOptions, type StepInput, type StepOutput } from './decodeEngine.js';
export { drawToken, RowUniform } from './draw.js';
export { type GenerateOptions, generate } from './generate.js';
export { type OpenedModel, type OpenModelOptions, openModel, openTokenizer, requireTokenizer, resolveModel } from './openModel.js';
export { excluded, type SamplerContext, type SamplerMethod, samplers } from './sampler/index.js';
export { chainOf, type SamplerChain, type SamplerStep, type Sampling, samplerChain } from './sampling.js';
export { StopText } from './stopText.js';
