import type { ParamSpec } from '../../contracts/index.js';
import type { ParamTree } from '../../nn/param.js';
import { VitroError } from '../../tensor/errors.js';
import type { Tensor } from '../../tensor/graph.js';
import { add, mul, neg } from '../../tensor/ops/elementwise.js';
import { sum } from '../../tensor/ops/reduce.js';
import type { ObjectiveContext, ObjectiveLoss, ObjectiveMethod } from '../objective/slot.js';
import type { RlRecipe } from './compose.js';
import type { Auxiliary, LossContext, PolicyTensors, TokenLoss } from './contract.js';
import { activePenalty } from './needs.js';
import { once, policyTensors } from './policyTensors.js';
import { type SequenceOps, sequenceOps } from './sequenceOps.js';

/** Names of the arrays that come with a batch; see minibatch.ts, which makes them. */
export const columnName = (name: string): string => `column.${name}`;
export const knobName = (name: string): string => `knob.${name}`;
export const auxiliaryWeight = (name: string): string => `auxiliary.${name}`;

const learnersTree = (own: ParamTree<Tensor>, name: string): ParamTree<Tensor> => {
  const found = (own as Readonly<Record<string, ParamTree<Tensor>>>)[name];
  if (!found) throw new VitroError(`rl: there is no learner ${name}; the recipe's learners: ${Object.keys(own).join(', ') || 'none'}`);
  return found;
};

/** The graph side of a recipe's slots as what the loss functions get. */
function lossContext({ slots, settings }: RlRecipe, context: ObjectiveContext): LossContext {
  const { model, params, own, batch, extra, frozen = {}, hidden, key, progress } = context;
  const read = (name: string, what: string): Tensor => {
    const found = extra[name];
    if (!found) throw new VitroError(`rl: the graph has no ${what}`);
    return found;
  };
  const knob = (name: string): Tensor => read(knobName(name), `setting ${name} that is a number`);
  const { policyView: view } = slots;
  const policyOf = (weights: ParamTree<Tensor>, states: () => Tensor): PolicyTensors =>
    policyTensors({ model, params: weights, hidden: states, targets: batch.targets, view, settings, knob });
  const frozenPolicy = (name: string, need: string) =>
    once((): PolicyTensors => {
      const weights = frozen[name];
      if (!weights) throw new VitroError(`rl: the weights of the ${name} policy are not there; declare needs: ['${need}']`);
      const { segment_ids, positions } = batch;
      return policyOf(weights, () => model.hidden(weights, batch.inputs, { segment_ids, positions }));
    });
  const reference = frozenPolicy('reference', 'reference-policy');
  const old = frozenPolicy('old', 'old-policy');
  const mask = read('mask', 'mask');
  const ops = once(
    (): SequenceOps => sequenceOps(read('sequence', "sequences; declare needs: ['sequences']"), read('group', 'groups'), mask),
  );
  return {
    policy: policyOf(params, () => hidden()),
    old_logp: read('old_logp', 'old log-probabilities'),
    advantage: read('advantage', 'advantages'),
    mask,
    weight: read('weight', 'weights'),
    get reference_logp() {
      return read('reference_logp', "log-probabilities of the reference; declare needs: ['reference']");
    },
    get reference() {
      return reference();
    },
    get old() {
      return old();
    },
    get sequence() {
      return ops();
    },
    column: (name) => read(columnName(name), `column ${name}`),
    knob,
    settings,
    model,
    params,
    learner: (name) => learnersTree(own, name),
    key,
    progress,
  };
}

/** The loss of a part of a minibatch: aggregated surrogate and penalty, learners, auxiliary terms. */
function composeLoss(recipe: RlRecipe, objective: ObjectiveContext): ObjectiveLoss {
  const { slots, settings } = recipe;
  const context = lossContext(recipe, objective);
  const penalty = activePenalty(slots, settings);
  const terms = [slots.surrogate.loss(context), ...(penalty ? [penalty.loss(context)] : [])];
  const tokens = terms.map((t) => t.loss).reduce(add);
  let loss = slots.aggregate.reduce?.(tokens, context) ?? sum(mul(tokens, context.weight));
  const metrics: Record<string, Tensor> = Object.assign({}, ...terms.map((t) => t.metrics ?? {}));
  const uniform = objective.extra.uniform;
  for (const learner of slots.learners) {
    const own = learner.loss(context);
    loss = add(loss, sum(mul(own.loss, uniform as Tensor)));
    Object.assign(metrics, own.metrics);
  }
  for (const auxiliary of slots.auxiliary) {
    const weight = objective.extra[auxiliaryWeight(auxiliary.name)];
    if (!weight) continue;
    const own = auxiliaryLoss(auxiliary, weight, context);
    loss = add(loss, sum(mul(own.loss, weight)));
    Object.assign(metrics, own.metrics);
  }
  // scale undoes the mean over the parts of a minibatch, so that their losses add up
  const { scale, count } = objective.extra as Readonly<Record<'scale' | 'count', Tensor>>;
  return { loss: mul(loss, scale), count, metrics };
}

function auxiliaryLoss(auxiliary: Auxiliary, weight: Tensor, context: LossContext): TokenLoss {
  if (!auxiliary.loss) return { loss: neg(context.policy.logp) };
  // not a spread, which would call the getters
  return auxiliary.loss(Object.create(context, { weight: { value: weight, enumerable: true } }) as LossContext);
}

/** A recipe's graph functions as an objective of the training step. */
export function rlObjective(recipe: RlRecipe): ObjectiveMethod {
  const { slots, settings } = recipe;
  return {
    id: 'rl',
    summary: recipe.id,
    paper: '',
    equation: '',
    defaults: {},
    limits: [],
    provenance: 'derived',
    assumes: [],
    ...(slots.learners.length > 0
      ? {
          specs: ({ model }): ParamTree<ParamSpec> => Object.fromEntries(slots.learners.map((l) => [l.name, l.specs(model, settings)])),
        }
      : {}),
    loss: (context) => composeLoss(recipe, context),
  };
}
