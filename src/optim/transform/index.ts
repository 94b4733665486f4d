import { adam } from './adam.js';
import { adamw } from './adamw.js';
import { muon } from './muon.js';
import type { OptimizerMethod } from './slot.js';

export * from './compose.js';
export * from './pieces.js';
export type * from './slot.js';

/** Every method of the slot by its id. */
export const optimizers: Readonly<Record<string, OptimizerMethod>> = { adam, adamw, muon };
