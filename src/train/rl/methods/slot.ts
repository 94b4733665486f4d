import type { Limit, Method } from '../../../contracts/index.js';
import type { SlotPatches } from '../compose.js';
import type { SlotName } from '../contract.js';

/**
 * The slot "rl": a method is a patch on a recipe of sixteen parts (see docs/rl-slots.md). It states its parent and the parts that it replaces
 * or wraps; `grpo+clip-higher+token-mean` applies patches in order.
 */

/** The slot, for the generated index. */
export const slot = {
  id: 'rl',
  record: 'rlMethods',
  summary: 'reinforcement learning: what is sampled, rewarded, credited and optimised',
} as const;

/** A setting at which one part of a method must equal the parent's. `inputs` restricts the batches that are compared. */
export interface RlLimit extends Omit<Limit, 'inputs'> {
  readonly slot: SlotName;
  readonly inputs?: RlLimitInputs;
  /** settings of the parent; default: its own */
  readonly parent_settings?: Limit['settings'];
  /** losses that differ by a constant of the policy have equal gradients; default 'value' (of graph functions: value and gradient) */
  readonly compare?: 'value' | 'gradient';
}

/** Restrictions that the conformance suite knows how to make. */
export const limitInputs = [
  'one-token answers',
  'one-token answers near 1',
  'equal lengths',
  'full lengths',
  'on policy',
  'ratios near 1',
  'rewards that differ',
  'no greedy sample',
  'others worth nothing',
  'one group',
  'two of four right',
  'chain problems',
  'majority that is right',
  'confidences behind answers',
  'verifier and dense scorer',
  'certain answers',
  'uniform policy',
  'no process rewards',
  'views that agree',
  'one-character steps',
  'redundant steps',
  'no roles',
  'fresh samples',
  'no corpus text',
  'no pairs',
] as const;
export type RlLimitInputs = (typeof limitInputs)[number];

export interface RlMethod extends Method {
  readonly limits: readonly RlLimit[];
  /** a complete recipe: what stands before the first + in a composition; its patch does not bring its ancestors along */
  readonly recipe?: true;
  readonly slots: SlotPatches;
}
