export * from './cached.js';
export { completeConfig, type DecoderConfig, type FullDecoderConfig } from './config.js';
export { decoderToken, type TokenOptions, type TokenResult } from './decodeToken.js';
export * from './forward.js';
export { type DecoderParts, decoderParts } from './parts.js';
export * from './specs.js';
