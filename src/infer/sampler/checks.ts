import type { Settings } from '../../contracts/index.js';
import { VitroError } from '../../tensor/errors.js';
import type { Tensor } from '../../tensor/graph.js';
import { le, where } from '../../tensor/ops/elementwise.js';
import type { SamplerContext } from './slot.js';
import { excluded } from './slot.js';

/** Throws unless a setting is a number that `allowed` accepts; `expected` says in words which are. */
export function checkNumber(settings: Settings, name: string, allowed: (x: number) => boolean, expected: string): void {
  const value = settings[name];
  if (typeof value !== 'number' || !Number.isFinite(value) || !allowed(value))
    throw new VitroError(`${name} must be ${expected}, got ${String(value)}`);
}

/** Keeps logits [B, V] from `threshold` [B, 1] on. */
export const keepFrom = (logits: Tensor, threshold: Tensor): Tensor => where(le(threshold, logits), logits, excluded);

/** A scalar that the method declared. */
export function scalarOf({ scalars }: SamplerContext, name: string): Tensor {
  const found = scalars[name];
  if (!found) throw new VitroError(`the scalar "${name}" of a sampler is missing`);
  return found;
}
