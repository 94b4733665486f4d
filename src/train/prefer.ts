import { type ExampleSet, exampleBatches, exampleSet } from '../data/examples/index.js';
import type { CausalModel } from '../models/causalModel.js';
import type { ParamTree } from '../nn/param.js';
import type { ScheduleMethod } from '../optim/schedule/index.js';
import type { OptimizerMethod } from '../optim/transform/index.js';
import type { NDArray } from '../tensor/array.js';
import { compile } from '../tensor/compile/compile.js';
import { VitroError } from '../tensor/errors.js';
import type { Tensor } from '../tensor/graph.js';
import { batchView } from './objective/lookAhead.js';
import type { BatchTensors } from './objective/slot.js';
import { applyPatches, type Patched } from './patch.js';
import { type PostTrainResult, type PostTrainShared, postTrain } from './postTrain.js';
import {
  type PreferMethod,
  preferColumns,
  preferences,
  preferFrozen,
  preferObjective,
  preferParts,
  readsReference,
} from './prefer/index.js';
import type { Chosen } from './step.js';
import { tokenView } from './tokenView.js';

/** Which methods train. Losses are applied one after the other to `dpo`. */
export interface PreferRecipe {
  readonly optimizer: Chosen<OptimizerMethod>;
  readonly schedule: Chosen<ScheduleMethod>;
  readonly losses: readonly Chosen<PreferMethod>[];
}

export interface PreferOptions extends PostTrainShared {
  readonly recipe: PreferRecipe;
  /** the reference; default: the starting model. Not read where the examples hold its log-probabilities (see withReferenceLogps) */
  readonly reference?: ParamTree<NDArray>;
}

/** Puts losses together. @throws VitroError where two replace the same part */
export const patchPreference = (losses: readonly Chosen<PreferMethod>[]): Patched<PreferMethod> =>
  applyPatches({ methods: preferences, parts: preferParts, root: 'dpo' }, losses);

/**
 * Learns from preferred responses: pairs (sequences chosen, rejected), or for unpaired losses responses with a label (sequences response, mismatched).
 */
export function prefer({ recipe, reference, ...shared }: PreferOptions): Promise<PostTrainResult> {
  const { optimizer, schedule, losses } = recipe;
  const patched = patchPreference(losses);
  const { carries } = shared.data;
  const precomputed = carries.includes('reference_logp');
  for (const [name, what] of Object.entries(preferColumns(patched)))
    if (!carries.includes(name)) throw new VitroError(`${patched.id} reads the column ${name} (${what}), which the examples lack`);
  // parameters of single pairs mean nothing for other pairs: those are measured without them
  const ownParameters = (patched.parts.specs?.length ?? 0) > 0;
  const root = patched.methods[0] as Patched<PreferMethod>['methods'][number];
  const settings = { ...root.settings, ...losses.find(({ method }) => method.specs)?.settings };
  const measured = ownParameters ? patchPreference([{ method: root.method, settings }]) : patched;
  return postTrain({
    ...shared,
    optimizer,
    schedule,
    objective: { method: preferObjective(patched, precomputed), settings: {} },
    evaluated: { method: preferObjective(measured, precomputed), settings: {} },
    frozen: preferFrozen(patched, precomputed),
    ...(reference && readsReference(patched) ? { given: { reference } } : {}),
  });
}

/** The examples with the log-probabilities of their tokens under a reference, so that training need not hold it. */
export async function withReferenceLogps(
  set: ExampleSet,
  model: CausalModel,
  params: ParamTree<NDArray>,
  options: { readonly batch_size: number; readonly context: number; readonly threads?: number },
): Promise<ExampleSet> {
  const { batch_size, context, threads } = options;
  const compiled = compile(
    (weights: ParamTree<Tensor>, batch: BatchTensors) =>
      tokenView({
        model,
        params: weights,
        targets: batch.targets,
        hidden: () => model.hidden(weights, batch.inputs, batchView(batch)),
        logits: false,
      }).logp,
    { name: 'reference log-probabilities', threads },
  );
  try {
    const rows: Float32Array[] = [];
    for (const { extra: _, ...batch } of exampleBatches(set, { batch_size, context })) {
      const logp = (await compiled.run(params as never, batch as never)) as unknown as NDArray;
      for (let b = 0; b < batch_size * set.sequences; b++) rows.push((logp.data as Float32Array).slice(b * context, (b + 1) * context));
    }
    const examples = set.examples.map((example, e) => ({
      ...example,
      sequences: example.sequences.map((sequence, j) => ({
        ...sequence,
        values: { ...sequence.values, reference_logp: (rows[e * set.sequences + j] as Float32Array).slice(0, sequence.ids.length) },
      })),
    }));
    return exampleSet(examples, `${set.fingerprint}+reference`);
  } finally {
    compiled.dispose();
  }
}
