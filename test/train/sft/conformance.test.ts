import { type SftLimit, sftObjective, sfts } from '../../../src/train/sft/index.js';
import { patchSft } from '../../../src/train/sft.js';
import { conformance } from '../support/conformance.js';
import { demonstrations, sequence } from '../support/examples.js';

conformance({
  methods: sfts,
  objective: (method, settings) => sftObjective(patchSft([{ method, settings: { ...method.defaults, ...settings } }])),
  examples: () => demonstrations,
  // the last token of the first demonstration is not trained on
  unseen: () => ({
    ...demonstrations,
    examples: [{ sequences: [sequence([3, 1, 4, 1, 5, 0], [2, 3, 4])] }, ...demonstrations.examples.slice(1)],
  }),
  settings: {
    asft: { kl_weight: 0.5 },
    dist2loss: { alpha: 0.5, metric_tokens: [1, 2, 3, 4], metric_values: [1, 2, 3, 4] },
    psft: { epsilon_high: 0.05 },
    'ss-token': { rho: 0.5 },
    ts2: { alpha: 0.3 },
  },
  withoutLimits: { ts2: 'no setting makes the sparsemax loss cross-entropy' },
  draws: ['neftune'],
  detached: ['dft', 'asft', 'talr'],
  of: (limit) => ((limit as SftLimit).of === 'gradient' ? 'gradient' : 'all'),
});
