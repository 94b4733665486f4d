import type { Settings } from '../../contracts/index.js';
import { type CausalModel, modelLogits, modelLoss } from '../../models/index.js';
import type { ParamTree } from '../../nn/param.js';
import type { Tensor } from '../../tensor/graph.js';
import { logSoftmax } from '../../tensor/ops/activation.js';
import { div, exp, maximum, mul, neg } from '../../tensor/ops/elementwise.js';
import { crossEntropy } from '../../tensor/ops/loss.js';
import { sum } from '../../tensor/ops/reduce.js';
import type { PolicyTensors, PolicyView } from './contract.js';

/** Calls f once, when its result is first asked for. */
export function once<T>(f: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => {
    made ??= { value: f() };
    return made.value;
  };
}

export interface PolicyInputs {
  readonly model: CausalModel;
  readonly params: ParamTree<Tensor>;
  /** last hidden states [B, T, D] */
  readonly hidden: () => Tensor;
  /** i32 [B, T]; below 0 where nothing is predicted */
  readonly targets: Tensor;
  readonly view: PolicyView;
  readonly settings: Settings;
  knob(name: string): Tensor;
}

/** A policy on the tokens of a batch, under the recipe's view. Logits are kept only where a part of the recipe asks for them, or the view changes them. */
export function policyTensors({ model, params, hidden, targets, view, settings, knob }: PolicyInputs): PolicyTensors {
  const states = once(hidden);
  const head = model.head(params);
  const temperature = knob('view_temperature');
  const logits = once(() => {
    const scaled = div(modelLogits(model, params, states()), temperature);
    return view.logits ? view.logits(scaled, { knob, settings }) : scaled;
  });
  const plain = !view.logits && head.softcap === 0 && !head.bias;
  const options = { reduction: 'none' } as const;
  return {
    logp: plain
      ? neg(modelLoss(model, params, div(states(), temperature), targets, options))
      : neg(crossEntropy(logits(), targets, options)),
    logits,
    entropy: once(() => {
      const logp = logSoftmax(logits());
      return neg(sum(mul(exp(logp), maximum(logp, -1e4)), { axis: 2 }));
    }),
    hidden: states,
    targets,
  };
}
