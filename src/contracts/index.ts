export type { Ledger } from './ledger.js';
export type { Demo, Knob, Limit, Method, Provenance, Settings } from './method.js';
export type { Init, ParamSpec } from './param.js';
export type { Tokenizer } from './tokenizer.js';
