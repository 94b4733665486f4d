export type { Ledger } from './ledger.js';
export type { Knob, Limit, Method, Provenance, Settings } from './method.js';
export type { Init, ParamSpec } from './param.js';
