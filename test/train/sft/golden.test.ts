import { describe, expect, it } from 'vitest';
import { type SftMethod, sftObjective, sfts } from '../../../src/train/sft/index.js';
import { patchSft } from '../../../src/train/sft.js';
import { golden, goldenBatch, policy, reference } from '../support/golden.js';
import { lossRunner, tabular } from '../support/lossRun.js';

const model = tabular(golden.shape[2]);
const frozen = { reference, old: reference, history: reference };

describe('figures of PyTorch', () => {
  it.each(Object.entries(golden.sft))('%s: loss and gradient by the logits', async (_, { method, settings, loss, gradient }) => {
    const own = sfts[method] as SftMethod;
    const run = lossRunner(model, sftObjective(patchSft([{ method: own, settings: { ...own.defaults, ...settings } }])));
    const got = await run({ params: policy, frozen, batch: goldenBatch(1) });
    expect(got.loss).toBeCloseTo(loss, 6);
    gradient.forEach((g, i) => {
      expect(got.grads['model.states']?.[i]).toBeCloseTo(g, 6);
    });
    expect(got.metrics.entropy).toBeCloseTo(golden.entropy, 6);
    expect(got.metrics.mean_token_accuracy).toBeCloseTo(golden.mean_token_accuracy, 6);
  });
});
