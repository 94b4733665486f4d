import { VitroError } from '../tensor/errors.js';

/** Learning rate of a step, as a factor of the peak. Runs on the host; the value enters the compiled step as a scalar. */
export type Schedule = (step: number) => number;

/**
 * Linear warm-up over `warmupSteps`, then a cosine from 1 down to `minRatio` at the last step (Loshchilov and Hutter, "SGDR", 2017, without restarts).
 * Step s = 0, 1, ... of `totalSteps`: (s + 1) / warmupSteps while s < warmupSteps, then
 * minRatio + (1 - minRatio) (1 + cos(pi (s - warmupSteps) / (totalSteps - 1 - warmupSteps))) / 2. After the last step it stays at minRatio.
 */
export function warmupCosine(options: { totalSteps: number; warmupSteps: number; minRatio: number }): Schedule {
  const { totalSteps, warmupSteps, minRatio } = options;
  if (!(Number.isInteger(totalSteps) && Number.isInteger(warmupSteps) && totalSteps > 0 && warmupSteps >= 0 && warmupSteps < totalSteps))
    throw new VitroError(`warmupCosine: needs integers 0 <= warmupSteps < totalSteps, got ${warmupSteps} and ${totalSteps}`);
  if (!(minRatio >= 0 && minRatio <= 1)) throw new VitroError(`warmupCosine: minRatio must lie between 0 and 1, got ${minRatio}`);
  const span = totalSteps - 1 - warmupSteps;
  return (step) => {
    if (step < warmupSteps) return (step + 1) / warmupSteps;
    const progress = span > 0 ? Math.min(1, (step - warmupSteps) / span) : 1;
    return minRatio + ((1 - minRatio) * (1 + Math.cos(Math.PI * progress))) / 2;
  };
}
