import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { SlotSettings } from '../recipe.js';

/** Settings that tuning found on a testbed, from assets/tuning (results/tuning holds the runs); none where it was never tuned. */
export function tunedSettings(testbed: string): Readonly<Record<string, SlotSettings>> {
  const path = fileURLToPath(new URL(`../../../assets/tuning/${testbed}.json`, import.meta.url));
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Record<string, SlotSettings>;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {};
    throw error;
  }
}
