import { rewardModels, rewardObjective } from '../../../src/train/reward/index.js';
import { patchReward } from '../../../src/train/reward.js';
import { conformance } from '../support/conformance.js';
import { chains, pairs } from '../support/examples.js';

conformance({
  methods: rewardModels,
  objective: (method, settings) => rewardObjective(patchReward([{ method, settings: { ...method.defaults, ...settings } }])),
  examples: (method) => (method.id === 'sprm' ? chains(true) : method.id === 'prm' ? chains(false) : pairs),
  settings: { smorm: { attributes: 2 }, 'bradley-terry': { center_rewards_coefficient: 0 }, oprm: { ratings: 6 } },
  withoutLimits: { oprm: 'a distribution over ratings is no scalar', prm: 'it judges steps, not responses' },
  draws: [],
  detached: [],
});
