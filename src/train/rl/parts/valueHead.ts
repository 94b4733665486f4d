import type { ParamTree } from '../../../nn/param.js';
import { paramSpec } from '../../../nn/param.js';
import type { Tensor } from '../../../tensor/graph.js';
import { add, maximum, minimum, mul, square, stopGradient, sub } from '../../../tensor/ops/index.js';
import { matmul } from '../../../tensor/ops/matmul.js';
import { squeeze } from '../../../tensor/ops/movement.js';
import type { Learner, PolicyTensors } from '../contract.js';

const predictValues = (policy: PolicyTensors, own: ParamTree<Tensor>, detached: boolean): Tensor => {
  const { weight, bias } = own as unknown as { readonly weight: Tensor; readonly bias: Tensor };
  const hidden = policy.hidden();
  return add(squeeze(matmul(detached ? stopGradient(hidden) : hidden, weight), 2), bias);
};

/**
 * Values V(what stands before the token) from the policy's last hidden states, trained on the returns with a clip around the old values:
 *   L = vf_coef / 2 max((V - R)^2, (clip(V, V_old - cliprange_value, V_old + cliprange_value) - R)^2)
 * (Schulman et al. 2017; as TRL and verl write it). value_detached keeps its gradient out of the policy's layers.
 */
export const valueHead: Learner = {
  name: 'values',
  defaults: { vf_coef: 0.1, cliprange_value: 0.2, value_detached: false },
  specs: ({ hidden_size }) => ({
    weight: paramSpec('vector', [hidden_size, 1], { kind: 'zeros' }),
    bias: paramSpec('vector', [1], { kind: 'zeros' }),
  }),
  predict: (policy, own, { settings }) => predictValues(policy, own, settings.value_detached === true),
  loss: ({ policy, learner, column, knob, settings }) => {
    const value = predictValues(policy, learner('values'), settings.value_detached === true);
    const [before, returns, range] = [column('values'), column('returns'), knob('cliprange_value')];
    const near = minimum(maximum(value, sub(before, range)), add(before, range));
    return { loss: mul(mul(0.5, knob('vf_coef')), maximum(square(sub(value, returns)), square(sub(near, returns)))) };
  },
};
