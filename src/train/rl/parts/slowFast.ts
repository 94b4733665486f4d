import type { Update } from '../contract.js';
import { deviation, meanOf } from './advantage.js';

interface Watch {
  /** mean entropies of the last steps, oldest first */
  entropies: number[];
  /** whether the fast steps are over for good */
  stopped: boolean;
}

/** Whether `value` lies at least `threshold` standard deviations from the mean of a full window before it. */
export function leavesWindow(window: readonly number[], value: number, size: number, threshold: number): boolean {
  if (window.length < size || size < 2) return false;
  const spread = deviation(window);
  return spread > 0 && Math.abs(value - meanOf(window)) >= threshold * spread;
}

/**
 * Slow-fast updates (Wang et al. 2025, arXiv:2510.04072): `fast_steps` passes of another update slot over the same samples, then
 *   weights = start + reposition_alpha (weights - start),
 * then one more pass from there. Once the entropy of the rollouts leaves its window of `entropy_window` steps by `entropy_threshold` standard deviations,
 * only the last pass remains (threshold 0 = never). The optimizer's moments go on through all passes.
 */
export const slowFast = (inner: Update): Update<Watch> => ({
  name: `slow-fast ${inner.name}`,
  defaults: { ...inner.defaults, fast_steps: 3, reposition_alpha: 0.8, entropy_window: 10, entropy_threshold: 3 },
  needs: inner.needs,
  init: () => ({ entropies: [], stopped: false }),
  run: async (context) => {
    const { batch, state, train, parameters } = context;
    const pass = (): Promise<void> => inner.run({ ...context.of(inner), batch, train, parameters });
    const [alpha, size, threshold] = ['reposition_alpha', 'entropy_window', 'entropy_threshold'].map((name) => context.number(name)) as [
      number,
      number,
      number,
    ];
    const entropy = meanOf(batch.entropy.filter((_, k) => batch.actions[k] === 1));
    state.stopped ||= threshold > 0 && leavesWindow(state.entropies, entropy, size, threshold);
    state.entropies = [...state.entropies, entropy].slice(-Math.max(1, size));
    context.metric('sfpo/fast', state.stopped ? 0 : 1);
    if (!state.stopped && alpha !== 0) {
      const start = parameters.snapshot();
      for (let k = 0; k < context.number('fast_steps'); k++) await pass();
      parameters.interpolate(start, alpha);
    }
    await pass();
  },
});
