import type { Settings } from '../../contracts/index.js';
import { partsOf } from './compose.js';
import type { Need, Part, Penalty, RlSlots } from './contract.js';

const needsOf = ({ needs = [] }: Part, settings: Settings): readonly Need[] => (typeof needs === 'function' ? needs(settings) : needs);

/** The penalty, unless the settings switch it off. */
export const activePenalty = ({ penalty }: RlSlots, settings: Settings): Penalty | undefined =>
  (penalty.active?.(settings) ?? true) ? penalty : undefined;

/** Everything that the parts of a recipe ask for at these settings. */
export function recipeNeeds(slots: RlSlots, settings: Settings): ReadonlySet<Need> {
  const needs = new Set(partsOf(slots).flatMap(([, part]) => needsOf(part, settings)));
  if (needs.has('groups')) needs.add('sequences');
  return needs;
}
