import { permutation } from '../../../data/stream/permutation.js';
import { mul } from '../../../tensor/ops/elementwise.js';
import type { HostContext, MinibatchView, Surrogate } from '../contract.js';
import { maskedMean } from '../sequenceOps.js';
import { klAtSelected, ppoClip } from './surrogate.js';

/** Covariance of log-probability and advantage at each token: (log pi - mean log pi)(A - mean A) (Cui et al. 2025, arXiv:2505.22617, equation 10). */
export function tokenCovariance({ logp, advantage }: Pick<MinibatchView, 'logp' | 'advantage'>): Float64Array {
  const mean = (x: Float64Array): number => x.reduce((a, b) => a + b, 0) / Math.max(1, x.length);
  const [m, a] = [mean(logp), mean(advantage)];
  return logp.map((x, k) => (x - m) * ((advantage[k] as number) - a));
}

/** PPO's clip without the gradient of a few random tokens of high covariance. */
export const clipCovariance: Surrogate = {
  name: 'clip-cov',
  defaults: { ...ppoClip.defaults, clip_cov_ratio: 2e-4, clip_cov_lb: 1, clip_cov_ub: 5 },
  stage: (view, context: HostContext) => {
    const [low, high] = [context.number('clip_cov_lb'), context.number('clip_cov_ub')];
    const [epsilon, above] = [context.number('epsilon'), context.number('epsilon_high') || context.number('epsilon')];
    const candidates = [...tokenCovariance(view).entries()].flatMap(([k, c]) => {
      const [ratio, a] = [Math.exp((view.logp[k] as number) - (view.old_logp[k] as number)), view.advantage[k] as number];
      const clippedAnyway = (a < 0 && ratio < 1 - epsilon) || (a > 0 && ratio > 1 + above);
      return c > low && c < high && !clippedAnyway ? [k] : [];
    });
    const keep = new Float64Array(view.logp.length).fill(1);
    const count = Math.min(candidates.length, Math.max(1, Math.floor(context.number('clip_cov_ratio') * view.logp.length)));
    if (count > 0) {
      const place = permutation(context.key('clip-cov'), candidates.length);
      for (let i = 0; i < count; i++) keep[candidates[place(i)] as number] = 0;
    }
    return { columns: { cov_keep: keep } };
  },
  loss: (context) => {
    const { loss, metrics } = ppoClip.loss(context);
    const keep = context.column('cov_keep');
    return { loss: mul(loss, keep), metrics: { ...metrics, 'clip_cov/kept_mean': maskedMean(keep, context.mask) } };
  },
};

/** -rho A, and a penalty kl_cov_coef |log rho| at the share kl_cov_ratio of tokens with the highest covariance. */
export const klCovariance: Surrogate = {
  name: 'kl-cov',
  defaults: { kl_cov_ratio: 2e-3, kl_cov_coef: 1 },
  stage: (view, context) => {
    const covariance = tokenCovariance(view);
    const count = Math.min(covariance.length, Math.max(1, Math.floor(context.number('kl_cov_ratio') * covariance.length)));
    const selected = new Float64Array(covariance.length);
    const order = [...covariance.keys()].sort((a, b) => (covariance[b] as number) - (covariance[a] as number) || a - b);
    for (const k of order.slice(0, count)) selected[k] = 1;
    return { columns: { cov_selected: selected } };
  },
  loss: klAtSelected,
};
