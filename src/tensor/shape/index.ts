import type { PrimName } from '../prims.js';
import { attentionRules } from './attention.js';
import type { ShapeRules } from './check.js';
import { compositeRules } from './composite.js';
import { contractRules } from './contract.js';
import { elementwiseRules } from './elementwise.js';
import { indexingRules } from './indexing.js';
import { leafRules } from './leaves.js';
import { movementRules } from './movement.js';
import { reduceRules } from './reduce.js';
import { structureRules } from './structure.js';

/** Checks the operands and attributes of every primitive and gives the shapes and dtypes of its results; throws OpError. */
export const shapeRules: ShapeRules<PrimName> = {
  ...leafRules,
  ...elementwiseRules,
  ...reduceRules,
  ...movementRules,
  ...indexingRules,
  ...contractRules,
  ...structureRules,
  ...attentionRules,
  ...compositeRules,
};
