import type { ParamSpec } from '../../contracts/index.js';
import type { ParamTree } from '../../nn/param.js';
import { grad } from '../../tensor/autodiff/index.js';
import { VitroError } from '../../tensor/errors.js';
import type { Tensor } from '../../tensor/graph.js';
import { zeros, zerosLike } from '../../tensor/ops/create.js';
import { add, cast, div, gt, maximum, mul, stopGradient, sub } from '../../tensor/ops/elementwise.js';
import { dimOf } from '../../tensor/ops/operand.js';
import { sum } from '../../tensor/ops/reduce.js';
import { at } from '../../tensor/ops/slicing.js';
import { withSites } from '../../tensor/site.js';
import type { FrozenRule } from '../frozen.js';
import { batchView } from '../objective/lookAhead.js';
import type { ObjectiveContext, ObjectiveMethod } from '../objective/slot.js';
import { type Layer, type Patched, stated } from '../patch.js';
import { type Sequences, sequencesOf } from '../sequences.js';
import { type TokenView, tokenStatistics, tokenView } from '../tokenView.js';
import type { PreferContext, PreferMethod } from './slot.js';

type Part = 'tokenWeight' | 'reward' | 'loss' | 'select' | 'pairWeight' | 'auxiliary';

/** The method whose value of a part that is no function counts. */
const owner = (patched: Patched<PreferMethod>, part: 'reference' | 'pairing' | 'specs'): Layer<PreferMethod> | undefined =>
  patched.parts[part]?.at(-1);

/** Whether a reference is read. */
export const readsReference = (patched: Patched<PreferMethod>): boolean => owner(patched, 'reference')?.method.reference === 'given';

/** Whether the data are responses with labels instead of pairs. */
export const isUnpaired = (patched: Patched<PreferMethod>): boolean => owner(patched, 'pairing')?.method.pairing === 'unpaired';

/** Models that are read beside the policy, unless the data hold the reference's log-probabilities. */
export const preferFrozen = (patched: Patched<PreferMethod>, precomputed: boolean): Readonly<Record<string, FrozenRule>> =>
  readsReference(patched) && !precomputed ? { reference: { kind: 'start' } } : {};

/** Columns that the examples must have. */
export const preferColumns = ({ methods }: Patched<PreferMethod>): Readonly<Record<string, string>> =>
  Object.assign({}, ...methods.map(({ method }) => method.columns ?? {})) as Record<string, string>;

function referenceLogp({ frozen, extra, batch, model }: ObjectiveContext, reads: boolean): Tensor {
  if (!reads) return zeros([dimOf(batch.targets, 0), dimOf(batch.targets, 1)]);
  if (extra.reference_logp) return extra.reference_logp;
  const params = frozen?.reference;
  if (!params) throw new VitroError('the loss reads a reference: give the model, or data with reference_logp');
  const hidden = (): Tensor => model.hidden(params, batch.inputs, batchView(batch));
  return tokenView({ model, params, targets: batch.targets, hidden, logits: false }).logp;
}

/** The log of a step, by TRL's names. Every mean is over the examples that are there. */
function metricsOf(context: PreferContext, unpaired: boolean, given: ObjectiveContext): Readonly<Record<string, Tensor>> {
  const { sequences, rewards, policy, model, params, batch } = context;
  const { pick, present, sums } = sequences;
  const mean = (values: Tensor, weights = present): Tensor => div(sum(mul(values, weights)), maximum(sum(weights), 1));
  const plain = sums(policy.logp);
  const all = tokenStatistics(model, params, given.hidden(), batch.targets);
  const shared = {
    entropy: div(all.entropy, maximum(all.count, 1)),
    mean_token_accuracy: div(all.correct, maximum(all.count, 1)),
  };
  if (unpaired) {
    const good = mul(context.column('label'), present);
    const bad = sub(present, good);
    const [reward, logp] = [pick(rewards, 0), pick(plain, 0)];
    const [chosen, rejected] = [mean(reward, good), mean(reward, bad)];
    return {
      'rewards/chosen': chosen,
      'rewards/rejected': rejected,
      'rewards/margins': sub(chosen, rejected),
      'logps/chosen': mean(logp, good),
      'logps/rejected': mean(logp, bad),
      kl: maximum(mean(pick(rewards, 1)), 0),
      ...shared,
    };
  }
  const [better, worse] = [pick(rewards, 0), pick(rewards, 1)];
  return {
    'rewards/chosen': mean(better),
    'rewards/rejected': mean(worse),
    'rewards/margins': mean(sub(better, worse)),
    'rewards/accuracies': mean(cast(gt(better, worse), 'f32')),
    'logps/chosen': mean(pick(plain, 0)),
    'logps/rejected': mean(pick(plain, 1)),
    ...shared,
  };
}

/** The loss that the methods make together, as the training step takes it. */
export function preferObjective(patched: Patched<PreferMethod>, precomputed = false): ObjectiveMethod {
  const root = patched.methods[0]?.method as PreferMethod;
  const logits = stated(patched, (method) => method.needs).includes('logits');
  const unpaired = isUnpaired(patched);
  const reads = readsReference(patched);
  const own = owner(patched, 'specs');
  const wanted = preferColumns(patched);
  const passes = patched.methods.reduce((n, { method, settings }) => n + (method.passes?.(settings) ?? 0), 0);
  return {
    id: patched.id,
    summary: root.summary,
    paper: root.paper,
    equation: root.equation,
    defaults: root.defaults,
    limits: [],
    provenance: root.provenance,
    assumes: [],
    ...(own ? { specs: (sizes) => own.method.specs?.(sizes, own.settings) as ParamTree<ParamSpec> } : {}),
    // a model that is only read costs a forward pass, a third of a training step
    extraFlops: ({ model, batch_size, context }) =>
      batch_size * context * model.trainFlopsPerToken(context) * ((reads && !precomputed ? 1 / 3 : 0) + passes),
    loss: (given) => {
      const context = makeContext(patched, given, { reads, logits, wanted });
      const losses = context.losses;
      const select = context.part('select') as Tensor;
      const count = sum(select);
      const main = div(sum(mul(mul(losses, context.part('pairWeight') as Tensor), select)), maximum(count, 1));
      const auxiliary = context.part('auxiliary');
      const metrics = metricsOf(context, unpaired, given);
      const present = maximum(sum(context.sequences.present), 1);
      const selects = (patched.parts.select?.length ?? 0) > 1;
      return {
        loss: auxiliary ? add(main, auxiliary) : main,
        count,
        metrics: {
          ...metrics,
          ...(auxiliary ? { auxiliary_loss: auxiliary } : {}),
          ...(selects ? { selected_pairs: div(count, present) } : {}),
        },
      };
    },
  };
}

interface Wants {
  readonly reads: boolean;
  readonly logits: boolean;
  readonly wanted: Readonly<Record<string, string>>;
}

/** The context that parts share; each part sees it with its own settings. */
function makeContext(
  patched: Patched<PreferMethod>,
  given: ObjectiveContext,
  { reads, logits, wanted }: Wants,
): PreferContext & { part(name: Part): Tensor | undefined } {
  const { model, params, batch, extra, progress, key } = given;
  const sequences: Sequences = sequencesOf(batch, extra);
  const made = new Map<string, Tensor>();
  const once = (name: string, make: () => Tensor): Tensor => {
    const known = made.get(name) ?? make();
    made.set(name, known);
    return known;
  };
  const policy = tokenView({ model, params, targets: batch.targets, hidden: () => given.hidden(), logits });
  const column = (name: string): Tensor => {
    const found = extra[name];
    if (!found)
      throw new VitroError(`the loss reads the column ${name} (${wanted[name] ?? 'one number for each example'}), which the examples lack`);
    return at(found, 0, 1);
  };
  const embeddingGradient = (of: (view: TokenView) => Tensor): Tensor => {
    let shift: Tensor | undefined;
    const free = (x: Tensor): Tensor => {
      shift = zerosLike(x);
      return add(stopGradient(x), shift);
    };
    const hidden = withSites({ embed: free }, () => model.hidden(params, batch.inputs, batchView(batch)));
    const view = tokenView({ model, params, targets: batch.targets, hidden: () => hidden, logits });
    if (!shift) throw new VitroError('the model names no site "embed"');
    return stopGradient(grad(of(view), { shift }).shift);
  };
  const shared = {
    model,
    params,
    own: given.own,
    batch,
    sequences,
    extra,
    policy,
    get reference() {
      return once('reference', () => stopGradient(referenceLogp(given, reads)));
    },
    referenceParams: given.frozen?.reference,
    get logps() {
      return once('logps', () => sequences.sums(mul(policy.logp, part('tokenWeight') as Tensor)));
    },
    get referenceLogps() {
      return once('referenceLogps', () =>
        reads ? sequences.sums(mul(shared.reference, part('tokenWeight') as Tensor)) : zerosLike(sequences.lengths),
      );
    },
    get rewards() {
      return part('reward') as Tensor;
    },
    get margins() {
      const { pick } = sequences;
      return once('margins', () => sub(pick(shared.rewards, 0), pick(shared.rewards, 1)));
    },
    get losses() {
      return part('loss') as Tensor;
    },
    column,
    embeddingGradient,
    settings: {},
    progress,
    key,
  };
  const seen = (layer: Layer<PreferMethod>): PreferContext =>
    Object.create(shared, { settings: { value: layer.settings, enumerable: true } }) as PreferContext;
  const part = (name: Part): Tensor | undefined => {
    const layers = patched.parts[name] ?? [];
    if (layers.length === 0) return undefined;
    const level = (i: number): Tensor => {
      const layer = layers[i];
      if (!layer) throw new VitroError(`the part ${name} has nothing beneath it`);
      return layer.method[name]?.(seen(layer), () => level(i - 1)) as Tensor;
    };
    return once(name, () => level(layers.length - 1));
  };
  return Object.assign(Object.create(shared) as PreferContext, { part });
}
