import { type Example, exampleSet, exampleSource } from '../../../data/examples/index.js';
import { Draws } from '../../../data/probes/draws.js';
import type { CausalModel } from '../../../models/index.js';
import { type ParamTree, paramSpec } from '../../../nn/param.js';
import type { ScheduleMethod } from '../../../optim/schedule/index.js';
import type { OptimizerMethod } from '../../../optim/transform/index.js';
import { NDArray } from '../../../tensor/array.js';
import { VitroError } from '../../../tensor/errors.js';
import type { Tensor } from '../../../tensor/graph.js';
import { add, cast, mul } from '../../../tensor/ops/elementwise.js';
import { unsqueeze } from '../../../tensor/ops/movement.js';
import { constant } from '../../../tensor/ops/operand.js';
import { foldIn, randomKey } from '../../../tensor/random/threefry.js';
import { preferences } from '../../../train/prefer/index.js';
import { prefer } from '../../../train/prefer.js';
import { chosenOf } from '../../composition.js';
import { partOf, type RecipePart } from '../../recipe.js';
import { hashOf } from '../../runStore.js';
import type { Testbed } from '../testbed.js';
import { tunedSettings } from '../tuned.js';

/**
 * Three responses and a policy with one parameter, p(y) ~ exp(theta f(y)), which can prefer the second response or the third, but not say how good both are
 * (after the didactic bandit of arXiv:2510.20413). Most pairs compare the first response with the third, which is a little better: a loss that fits the
 * policy to the pairs turns to the third response and away from the second, the best one.
 */
export const bandit = {
  features: [0, 1, -2],
  rewards: [0, 3, 0.5],
  /** responses that are compared, and how often */
  comparisons: [
    { responses: [0, 1], share: 0.1 },
    { responses: [0, 2], share: 0.9 },
  ],
  pairs: 240,
} as const;

const batch = { batch_size: 24, context: 2 } as const;
const args = { max_steps: 300, warmup_ratio: 0.05, max_grad_norm: 0, logging_steps: 50 } as const;
const rates = [0.03, 0.1, 0.3] as const;

const generatesNothing = (): never => {
  throw new VitroError('the policy of the bandit writes one token: read its probabilities');
};

/** The policy as a language model: logits theta f over the responses, whatever stands before. */
export const banditModel: CausalModel = {
  vocab_size: bandit.features.length,
  hidden_size: 1,
  context: batch.context,
  specs: { theta: paramSpec('vector', [1], { kind: 'zeros' }) },
  hidden: (params, ids) => add(unsqueeze(mul(cast(ids, 'f32'), 0), 2), params.theta as Tensor),
  head: () => ({ table: constant(new NDArray('f32', [bandit.features.length, 1], Float32Array.from(bandit.features))), softcap: 0 }),
  step: generatesNothing,
  token: generatesNothing,
  scalesWithLength: false,
  emptyCache: generatesNothing,
  cacheBytesPerToken: 0,
  // a product for each response, and as many again for each of the two gradients
  trainFlopsPerToken: () => 6 * bandit.features.length,
  extraLayer: { specs: {}, apply: generatesNothing, trainFlopsPerToken: () => 0 },
};

/** Expected true reward of the policy. */
export function expectedReward(theta: number): number {
  const weights = bandit.features.map((f) => Math.exp(f * theta));
  return weights.reduce((sum, w, y) => sum + w * (bandit.rewards[y] as number), 0) / weights.reduce((a, b) => a + b, 0);
}

/** Pairs whose labels follow the Bradley-Terry model of the true rewards. */
export function banditPairs(seed: number): Example[] {
  const key = foldIn(randomKey(seed), 0x62616e64);
  const sequence = (y: number) => ({ ids: Int32Array.of(0, y), trained: Uint8Array.of(0, 1) });
  return Array.from({ length: bandit.pairs }, (_, i) => {
    const draws = new Draws(foldIn(key, i));
    const [rare, usual] = bandit.comparisons;
    const [a, b] = (draws.unit() < rare.share ? rare : usual).responses;
    const firstWins = draws.unit() < 1 / (1 + Math.exp(bandit.rewards[b] - bandit.rewards[a]));
    const [chosen, rejected] = firstWins ? [a, b] : [b, a];
    return { sequences: [sequence(chosen), sequence(rejected)], columns: { response_ids: [chosen, rejected] } };
  });
}

const startingTheta = (): ParamTree<NDArray> => ({ theta: new NDArray('f32', [1], new Float32Array(1)) });

export const banditTestbed: Testbed = {
  id: 'preference-bandit',
  summary: 'three responses, a policy of one parameter that cannot express their rewards, and pairs that mislead it; expected true reward',
  metric: 'eval_utility',
  better: 'higher',
  margin: 0.05,
  cost: 'tokens',
  base: { 'preference-loss': 'dpo', optimizer: 'adamw', schedule: 'linear' },
  shared: { optimizer: { weight_decay: 0, adam_beta2: 0.98, learning_rate: rates[1] } },
  tuned: tunedSettings('preference-bandit'),
  tuning: { seeds: [1000], candidates: { adamw: rates.map((learning_rate) => ({ learning_rate })) } },
  task: async () => ({ args, batch, data: hashOf(bandit) }),
  steps: () => args.max_steps,
  run: async (recipe, { seed, threads, signal, onMetrics }) => {
    const { method, settings } = recipe['preference-loss'] as RecipePart;
    const examples = exampleSet(banditPairs(100 + seed), hashOf([bandit, seed]));
    const { status, params, ledger } = await prefer({
      model: banditModel,
      start: startingTheta(),
      args,
      data: exampleSource(examples, { ...batch, key: foldIn(randomKey(seed), 1) }),
      seed,
      threads,
      recipe: {
        optimizer: partOf<OptimizerMethod>(recipe, 'optimizer'),
        schedule: partOf<ScheduleMethod>(recipe, 'schedule'),
        losses: chosenOf(preferences, method, settings),
      },
      ...(signal ? { signal } : {}),
      ...(onMetrics ? { onMetrics } : {}),
    });
    if (status === 'diverged') return { status, metrics: {}, ledger };
    const theta = (params.theta as NDArray).item();
    const metrics = { eval_utility: expectedReward(theta), theta };
    onMetrics?.({ global_step: args.max_steps, ...metrics });
    return { status, metrics, ledger };
  },
};
