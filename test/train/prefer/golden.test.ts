import { describe, expect, it } from 'vitest';
import { type PreferMethod, preferences, preferObjective } from '../../../src/train/prefer/index.js';
import { patchPreference } from '../../../src/train/prefer.js';
import { golden, goldenBatch, policy, reference } from '../support/golden.js';
import { lossRunner, tabular } from '../support/lossRun.js';

const model = tabular(golden.shape[2]);

describe('figures of PyTorch', () => {
  it.each(Object.entries(golden.preference))('%s: loss and gradient by the logits', async (_, { method, settings, loss, gradient }) => {
    const own = preferences[method] as PreferMethod;
    const run = lossRunner(model, preferObjective(patchPreference([{ method: own, settings: { ...own.defaults, ...settings } }])));
    const got = await run({ params: policy, frozen: { reference }, batch: goldenBatch(2) });
    expect(got.loss).toBeCloseTo(loss, 6);
    gradient.forEach((g, i) => {
      expect(got.grads['model.states']?.[i]).toBeCloseTo(g, 6);
    });
    expect(got.metrics.entropy).toBeCloseTo(golden.entropy, 6);
  });
});
