import type { ParamSpec } from '../../contracts/index.js';
import type { ParamTree } from '../../nn/param.js';
import { VitroError } from '../../tensor/errors.js';
import type { Tensor } from '../../tensor/graph.js';
import { add, cast, div, gt, maximum, mul, neg, sub, where } from '../../tensor/ops/elementwise.js';
import { max, sum } from '../../tensor/ops/reduce.js';
import type { ObjectiveContext, ObjectiveMethod } from '../objective/slot.js';
import type { Layer, Patched } from '../patch.js';
import { sequencesOf } from '../sequences.js';
import { stepEnds, stepSums } from './prm.js';
import type { RewardContext, RewardMethod } from './slot.js';

type Part = 'head' | 'loss' | 'auxiliary' | 'score';

/** What the methods learn from. */
export const rewardData = ({ methods }: Patched<RewardMethod>): 'pairs' | 'steps' =>
  methods.reduce<'pairs' | 'steps'>((data, { method }) => method.data ?? data, 'pairs');

/** Columns that the examples must have. */
export const rewardColumns = ({ methods }: Patched<RewardMethod>): Readonly<Record<string, string>> =>
  Object.assign({}, ...methods.map(({ method }) => method.columns ?? {})) as Record<string, string>;

/** The context that parts share; each part sees it with its own settings. */
function makeContext(
  patched: Patched<RewardMethod>,
  { model, params, own, batch, extra, hidden }: Pick<ObjectiveContext, 'model' | 'params' | 'own' | 'batch' | 'extra' | 'hidden'>,
): RewardContext & { part(name: Part): Tensor | undefined } {
  const sequences = sequencesOf(batch, extra);
  const wanted = rewardColumns(patched);
  const made = new Map<string, Tensor>();
  const once = (name: string, make: () => Tensor): Tensor => {
    const known = made.get(name) ?? make();
    made.set(name, known);
    return known;
  };
  const shared = {
    model,
    params,
    own,
    batch,
    sequences,
    extra,
    get hidden() {
      return once('hidden', () => hidden());
    },
    get last() {
      return once('last', () => sequences.last(shared.hidden));
    },
    get outputs() {
      return part('head') as Tensor;
    },
    get scores() {
      return part('score') as Tensor;
    },
    column: (name: string): Tensor => {
      const found = extra[name];
      if (!found) throw new VitroError(`the reward model reads the column ${name} (${wanted[name] ?? 'numbers'}), which the examples lack`);
      return found;
    },
    settings: {},
  };
  const part = (name: Part): Tensor | undefined => {
    const layers = patched.parts[name] ?? [];
    if (layers.length === 0) return undefined;
    const seen = (layer: Layer<RewardMethod>): RewardContext =>
      Object.create(shared, { settings: { value: layer.settings, enumerable: true } }) as RewardContext;
    const level = (i: number): Tensor => {
      const layer = layers[i];
      if (!layer) throw new VitroError(`the part ${name} has nothing beneath it`);
      return layer.method[name]?.(seen(layer), () => level(i - 1)) as Tensor;
    };
    return once(name, () => level(layers.length - 1));
  };
  return Object.assign(Object.create(shared) as RewardContext, { part });
}

/** TRL's log of a step. */
function metricsOf(context: RewardContext, data: 'pairs' | 'steps'): Readonly<Record<string, Tensor>> {
  const { sequences, scores } = context;
  const { present, pick, presentSequences } = sequences;
  const mean = (values: Tensor): Tensor => div(sum(mul(values, present)), maximum(sum(present), 1));
  if (data === 'steps') {
    const ends = stepEnds(context);
    const labels = maximum(context.extra.step_labels as Tensor, 0);
    const right = cast(gt(context.outputs, 0).eq(gt(labels, 0.5)), 'f32');
    return {
      accuracy: div(sum(stepSums(context, right)), maximum(sum(mul(ends, 1)), 1)),
      mean_reward: div(sum(mul(scores, presentSequences)), maximum(sum(presentSequences), 1)),
    };
  }
  const [better, worse] = [pick(scores, 0), pick(scores, 1)];
  const far = 1e30;
  const shown = (value: number): Tensor => where(gt(presentSequences, 0), scores, value);
  return {
    accuracy: mean(cast(gt(better, worse), 'f32')),
    margin: mean(sub(better, worse)),
    mean_reward: div(sum(mul(scores, presentSequences)), maximum(sum(presentSequences), 1)),
    max_reward: max(shown(-far)),
    min_reward: neg(max(neg(shown(far)))),
  };
}

/** The loss that the methods make together, as the training step takes it. */
export function rewardObjective(patched: Patched<RewardMethod>): ObjectiveMethod {
  const root = patched.methods[0]?.method as RewardMethod;
  const specs = patched.parts.specs?.at(-1) as Layer<RewardMethod>;
  const data = rewardData(patched);
  return {
    id: patched.id,
    summary: root.summary,
    paper: root.paper,
    equation: root.equation,
    defaults: root.defaults,
    limits: [],
    provenance: root.provenance,
    assumes: [],
    specs: (sizes) => specs.method.specs?.(sizes, specs.settings) as ParamTree<ParamSpec>,
    loss: (given) => {
      const context = makeContext(patched, given);
      const { present } = context.sequences;
      const main = div(sum(mul(context.part('loss') as Tensor, present)), maximum(sum(present), 1));
      const auxiliary = context.part('auxiliary');
      return { loss: auxiliary ? add(main, auxiliary) : main, count: sum(present), metrics: metricsOf(context, data) };
    },
  };
}

/** Rewards [S] of the sequences of a batch, for use after training. */
export const rewardScores = (
  patched: Patched<RewardMethod>,
  given: Pick<ObjectiveContext, 'model' | 'params' | 'own' | 'batch' | 'extra' | 'hidden'>,
): Tensor => makeContext(patched, given).scores;

/** What the head says: [S, K], or logits [B, T] of steps. */
export const rewardOutputs = (
  patched: Patched<RewardMethod>,
  given: Pick<ObjectiveContext, 'model' | 'params' | 'own' | 'batch' | 'extra' | 'hidden'>,
): Tensor => makeContext(patched, given).outputs;
