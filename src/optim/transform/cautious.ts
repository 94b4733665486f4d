import type { Settings } from '../../contracts/index.js';
import { VitroError } from '../../tensor/errors.js';
import type { Tensor } from '../../tensor/graph.js';
import { leafAt, mapLeaves } from './compose.js';
import type { GradientTransform } from './slot.js';

/** Factor of the coordinates that are kept, from the mask of a tensor with n elements; see `cautious`. */
const scalings: Readonly<Record<string, (mask: Tensor, n: number) => Tensor>> = {
  mean: (mask) => mask.mean().maximum(1e-3).recip(),
  count: (mask, n) => mask.sum().add(1).recip().mul(n),
};

/**
 * The cautious form of any transform whose output u points along the gradient (Liang et al., "Cautious Optimizers: Improving Training with One
 * Line of Code", arXiv:2411.16085; code compared with github.com/kyleliang919/C-Optim at 2c0517c). With the mask phi = 1[u g > 0] of each tensor:
 *   u' = u phi / max(mean(phi), 1e-3)   ('mean'),   or   u' = u phi n / (sum(phi) + 1)   ('count', the paper's algorithm)
 * Stands before decoupled weight decay and before the rate, so that neither is masked.
 */
export function cautious(inner: GradientTransform, settings: Settings): GradientTransform {
  const scaling = scalings[String(settings.mask_scaling)];
  if (!scaling) throw new VitroError(`mask_scaling must be one of ${Object.keys(scalings).join(', ')}, got ${settings.mask_scaling}`);
  return {
    init: inner.init,
    update: (grads, state, context) => {
      const { updates, state: after } = inner.update(grads, state, context);
      const masked = mapLeaves(updates, (u, path) => {
        const mask = u.mul(leafAt(grads, path)).gt(0).cast('f32');
        const n = u.shape.reduce<number>((a, b) => a * Number(b), 1);
        return u.mul(mask).mul(scaling(mask, n));
      });
      return { updates: masked, state: after };
    },
  };
}
