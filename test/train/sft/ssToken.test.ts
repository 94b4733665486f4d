import { describe, expect, it } from 'vitest';
import type { ParamTree } from '../../../src/nn/param.js';
import { collectSites, compile, type NDArray, type Tensor } from '../../../src/tensor/index.js';
import type { BatchTensors } from '../../../src/train/objective/index.js';
import { type SftMethod, sftObjective, sfts } from '../../../src/train/sft/index.js';
import { patchSft } from '../../../src/train/sft.js';
import { tokenView } from '../../../src/train/tokenView.js';
import { batchOf, demonstrations } from '../support/examples.js';
import { decoderParams, lossRunner, model } from '../support/lossRun.js';

const params = decoderParams(3);
const history = decoderParams(4);
const batch = batchOf(demonstrations);
const { extra: _, ...tokens } = batch;

/** Log-probabilities, and queries and keys of the last layer. */
const look = compile(
  (weights: ParamTree<Tensor>, b: BatchTensors) => {
    const { result, values } = collectSites(['layers.1.attn.q', 'layers.1.attn.k'], () => model.hidden(weights, b.inputs));
    const logp = tokenView({ model, params: weights, targets: b.targets, hidden: () => result, logits: false }).logp;
    return { logp, q: values.get('layers.1.attn.q') as Tensor, k: values.get('layers.1.attn.k') as Tensor };
  },
  { backend: 'reference' },
);
type Nested4 = number[][][][];

describe('ss-token', () => {
  it.each([
    { rho: 0.5, gamma: 0.3 },
    { rho: 0.67, gamma: 1 },
    { rho: 0.34, gamma: 0 },
  ])('selects by what was learnt and by attention to the prompt, as plain loops do, at %o', async ({ rho, gamma }) => {
    const now = (await look.run(params as never, tokens as never)) as unknown as Record<'logp' | 'q' | 'k', NDArray>;
    const before = (await look.run(history as never, tokens as never)) as unknown as Record<'logp', NDArray>;
    const [logp, past] = [now.logp.toNested() as number[][], before.logp.toNested() as number[][]];
    const [q, k] = [now.q.toNested() as Nested4, now.k.toNested() as Nested4];
    const targets = tokens.targets.toNested() as number[][];
    let [loss, kept] = [0, 0];
    targets.forEach((row, b) => {
      const on = row.flatMap((t, i) => (t >= 0 ? [i] : []));
      const attention = on.map((t) => {
        const from = t + 1;
        let mean = 0;
        for (let h = 0; h < 2; h++) {
          const scores = Array.from({ length: from + 1 }, (_, s) =>
            (q[b]?.[h]?.[from] ?? []).reduce((a, x, i) => a + (x * (k[b]?.[0]?.[s]?.[i] as number)) / 2, 0),
          );
          const top = Math.max(...scores);
          const weights = scores.map((x) => Math.exp(x - top));
          const total = weights.reduce((a, x) => a + x, 0);
          // a token is of the answer where the position before it predicts it
          weights.forEach((w, s) => {
            if (s === 0 || (row[s - 1] as number) < 0) mean += w / total / 2;
          });
        }
        return mean;
      });
      const learnt = on.map((t) => (logp[b]?.[t] as number) - (past[b]?.[t] as number));
      const [low, high] = [Math.min(...learnt), Math.max(...learnt)];
      const scores = on.map((_, i) => (gamma * ((learnt[i] as number) - low)) / (high - low) + (1 - gamma) * (attention[i] as number));
      const best = on.map((_, i) => i).sort((x, y) => (scores[y] as number) - (scores[x] as number));
      for (const i of best.slice(0, Math.max(1, Math.ceil(rho * on.length - 1e-4)))) {
        loss -= logp[b]?.[on[i] as number] as number;
        kept++;
      }
    });
    const method = sfts['ss-token'] as SftMethod;
    const run = lossRunner(model, sftObjective(patchSft([{ method, settings: { ...method.defaults, rho, gamma } }])));
    const got = await run({ params, frozen: { history }, batch });
    expect(got.count).toBe(kept);
    expect(got.loss).toBeCloseTo(loss / kept, 5);
    expect(got.metrics.selected_tokens).toBeCloseTo(kept / 10, 6);
  });
});
