import {
  copying,
  mqar,
  needle,
  type Probe,
  parity,
  pathStar,
  probeEvaluation,
  probeSource,
  regression,
  wordProblem,
} from '../../data/probes/index.js';
import type { DecoderConfig } from '../../models/index.js';
import { foldIn, randomKey } from '../../tensor/random/threefry.js';
import type { PretrainArguments } from '../../train/pretrain.js';
import { once, pretrainingTestbed } from './pretraining.js';
import type { Testbed } from './testbed.js';
import { scratchCandidates } from './text.js';

/** Seed of the evaluation questions: the same for every run. */
export const evaluationSeed = 4242;

export const probeArgs: PretrainArguments = { max_steps: 600, warmup_ratio: 0.1, max_grad_norm: 1, logging_steps: 20, eval_steps: 150 };
export const probeModel: Omit<DecoderConfig, 'vocab_size' | 'max_position_embeddings'> = {
  hidden_size: 64,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  intermediate_size: 128,
};

/** A testbed of one probe: a small decoder learns the task from endless examples; accuracy over questions that it never saw. */
function probeTestbed(
  id: string,
  probe: Probe,
  change: {
    readonly model?: Partial<typeof probeModel> & { readonly max_position_embeddings?: number };
    readonly args?: PretrainArguments;
    readonly batch_size?: number;
    readonly metric?: string;
  } = {},
): Testbed {
  const batch_size = change.batch_size ?? 16;
  return pretrainingTestbed({
    id,
    summary: `${probe.summary} (${probe.paper})`,
    metric: change.metric ?? 'val/accuracy',
    better: 'higher',
    margin: 0.02,
    model: { ...probeModel, max_position_embeddings: probe.context, ...change.model },
    args: { ...probeArgs, ...change.args },
    data: once(async () => ({
      vocab_size: probe.vocab_size,
      identity: { probe: probe.id, ...probe.settings, batch_size, evaluation_seed: evaluationSeed },
      source: (seed: number) => probeSource(probe, foldIn(randomKey(seed), 1), batch_size),
      evaluation: [
        { name: 'val', metric: 'accuracy' as const, batches: probeEvaluation(probe, randomKey(evaluationSeed), 32, 16), quick: 8 },
      ],
    })),
    tuning: { seeds: [1000], candidates: scratchCandidates },
  });
}

export const mqarTestbed = probeTestbed('mqar', mqar({ vocab_size: 32, context: 16, num_kv_pairs: 4 }), {
  batch_size: 64,
  args: { ...probeArgs, max_steps: 1200 },
});
export const copyingTestbed = probeTestbed('copying', copying());
export const parityTestbed = probeTestbed('parity', parity());
export const wordProblemTestbed = probeTestbed('word-problem', wordProblem());
export const regressionTestbed = probeTestbed('in-context-regression', regression());
export const pathStarTestbed = probeTestbed('path-star', pathStar({ degree: 2, path_length: 4, num_nodes: 8 }), {
  metric: 'val/exact_match',
  batch_size: 48,
  args: { ...probeArgs, max_steps: 1200 },
});
/** Twice as many positions as a row needs, so that a method may leave gaps between them. */
export const needleTestbed = probeTestbed('needle', needle({ context: 64 }), { model: { max_position_embeddings: 128 } });
