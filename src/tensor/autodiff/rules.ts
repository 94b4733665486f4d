import { contractVjp } from './contract.js';
import { controlVjp } from './control.js';
import { elementwiseVjp } from './elementwise.js';
import { leafVjp, movementVjp } from './movement.js';
import { nnVjp } from './nn.js';
import { reduceVjp } from './reduce.js';
import type { VjpRules } from './types.js';

/** Gradient of every primitive; a missing rule does not compile. */
export const vjpRules: VjpRules = {
  ...leafVjp,
  ...elementwiseVjp,
  ...reduceVjp,
  ...movementVjp,
  ...contractVjp,
  ...nnVjp,
  ...controlVjp,
};
