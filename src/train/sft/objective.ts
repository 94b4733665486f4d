import type { DecoderView } from '../../models/index.js';
import { VitroError } from '../../tensor/errors.js';
import type { Tensor } from '../../tensor/graph.js';
import { add, div, lt, maximum, mul, stopGradient, where } from '../../tensor/ops/elementwise.js';
import { scatterAdd } from '../../tensor/ops/indexing.js';
import { reshape } from '../../tensor/ops/movement.js';
import { dimOf } from '../../tensor/ops/operand.js';
import { sum } from '../../tensor/ops/reduce.js';
import { eachKey } from '../../tensor/random.js';
import { collectSites, withSites } from '../../tensor/site.js';
import type { FrozenRule } from '../frozen.js';
import { batchView } from '../objective/lookAhead.js';
import type { ObjectiveContext, ObjectiveMethod } from '../objective/slot.js';
import { type Patched, stated } from '../patch.js';
import { type Sequences, sequencesOf } from '../sequences.js';
import { tokenStatistics, tokenView } from '../tokenView.js';
import { attentionOf } from './attention.js';
import type { SftContext, SftMethod } from './slot.js';

/** Models that the methods read beside the policy. */
export function sftFrozen({ methods }: Patched<SftMethod>): Readonly<Record<string, FrozenRule>> {
  const rules: Record<string, FrozenRule> = {};
  for (const { method, settings } of methods)
    for (const [name, rule] of Object.entries(method.frozen?.(settings) ?? {})) {
      if (rules[name] && JSON.stringify(rules[name]) !== JSON.stringify(rule))
        throw new VitroError(`two methods want the model ${name} refreshed in different ways; train with one of them`);
      rules[name] = rule;
    }
  return rules;
}

/** Number of tokens, prompt included, of the sequence at each position [B, T]. */
function sequenceLengths(sequences: Sequences, extra: Readonly<Record<string, Tensor>>): Tensor {
  const ids = extra.sequence_ids as Tensor;
  const S = sequences.examples * sequences.each;
  const flat = reshape(ids, [(dimOf(ids, 0) as number) * (dimOf(ids, 1) as number)]);
  const ones = where(lt(flat, S), 1, 0).cast('f32');
  return sequences.spread(scatterAdd(flat, ones, { size: S + 1 }).slice([[0, S]]));
}

/** Hidden states of the policy, with what the methods do to its embeddings, and the attention of its layers if it is asked for. */
function policyStates(patched: Patched<SftMethod>, context: ObjectiveContext, sequences: Sequences, keys: readonly Tensor[]) {
  const layers = patched.parts.embed ?? [];
  const view: DecoderView = batchView(context.batch);
  const hidden = (): Tensor => {
    if (layers.length === 0) return context.hidden();
    const sequence_length = sequenceLengths(sequences, context.extra);
    const embed = (x: Tensor): Tensor =>
      layers.reduce((h, { method, settings }) => {
        const key = keys[patched.methods.findIndex((l) => l.method === method)] as Tensor;
        return method.embed?.(h, { sequences, sequence_length, settings, key }) ?? h;
      }, x);
    // a view of its own, so that the plain hidden states are not those with noise
    return withSites({ embed }, () => context.hidden(view));
  };
  const attends = stated(patched, ({ needs }) => needs).includes('attention');
  if (!attends) return { hidden, attention: undefined };
  let made: { result: Tensor; values: Map<string, Tensor> } | undefined;
  const run = (): { result: Tensor; values: Map<string, Tensor> } => {
    made ??= collectSites(['layers.*.attn.q', 'layers.*.attn.k'], hidden);
    return made;
  };
  const attention = (layer: number): Tensor => {
    const { values } = run();
    const count = values.size / 2;
    const index = layer < 0 ? layer + count : layer;
    const [q, k] = [values.get(`layers.${index}.attn.q`), values.get(`layers.${index}.attn.k`)];
    if (!q || !k) throw new VitroError(`there is no attention of layer ${layer}; the model has ${count} layers that show theirs`);
    return stopGradient(attentionOf(q, k, context.batch.segment_ids));
  };
  return { hidden: () => run().result, attention };
}

/** The loss that the methods make together, as the training step takes it. */
export function sftObjective(patched: Patched<SftMethod>): ObjectiveMethod {
  const root = patched.methods[0]?.method as SftMethod;
  const needs = stated(patched, (method) => method.needs);
  const frozenNames = Object.keys(sftFrozen(patched));
  return {
    ...root,
    id: patched.id,
    // models that are only read cost a forward pass each
    extraFlops: ({ model, batch_size, context }) => (frozenNames.length * batch_size * context * model.trainFlopsPerToken(context)) / 3,
    loss: (given) => {
      const { model, params, batch, extra, progress } = given;
      const sequences = sequencesOf(batch, extra);
      const logits = needs.includes('logits');
      const keys = patched.methods.length === 1 ? [given.key] : eachKey(given.key, patched.methods.length);
      const { hidden, attention } = policyStates(patched, given, sequences, keys);
      const policy = tokenView({ model, params, targets: batch.targets, hidden, logits });
      const frozen = new Map<string, ReturnType<typeof tokenView>>();
      const frozenView = (name: string): ReturnType<typeof tokenView> => {
        const own = given.frozen?.[name];
        if (!own)
          throw new VitroError(`the loss reads the model ${name}, which was not given; models given: ${frozenNames.join(', ') || 'none'}`);
        const known =
          frozen.get(name) ??
          tokenView({
            model,
            params: own,
            targets: batch.targets,
            hidden: () => model.hidden(own, batch.inputs, batchView(batch)),
            logits,
          });
        frozen.set(name, known);
        return known;
      };
      const contextOf = (method: SftMethod, settings: SftContext['settings']): SftContext => ({
        model,
        params,
        batch,
        sequences,
        extra,
        policy,
        frozen: frozenView,
        attention:
          attention ??
          (() => {
            throw new VitroError(`${method.id} reads attention; state needs: ['attention']`);
          }),
        settings,
        progress,
        key: keys[patched.methods.findIndex((l) => l.method === method)] as Tensor,
      });
      const part = (name: 'target' | 'weight' | 'mask' | 'auxiliary'): Tensor | undefined => {
        const layers = patched.parts[name] ?? [];
        const at = (i: number): Tensor => {
          const layer = layers[i];
          if (!layer) throw new VitroError(`the part ${name} has nothing beneath it`);
          const made = layer.method[name]?.(contextOf(layer.method, layer.settings), () => at(i - 1));
          return made as Tensor;
        };
        return layers.length > 0 ? at(layers.length - 1) : undefined;
      };
      const mask = part('mask') as Tensor;
      const count = sum(mask);
      const weighted = mul(mul(part('target') as Tensor, part('weight') as Tensor), mask);
      const main = div(sum(weighted), maximum(count, 1));
      const auxiliary = part('auxiliary');
      const all = tokenStatistics(model, params, policy.hidden, batch.targets);
      const per = maximum(all.count, 1);
      return {
        loss: auxiliary ? add(main, auxiliary) : main,
        count,
        metrics: {
          entropy: div(all.entropy, per),
          mean_token_accuracy: div(all.correct, per),
          ...(auxiliary ? { auxiliary_loss: auxiliary } : {}),
          ...(patched.parts.mask?.some(({ method }) => method !== root) ? { selected_tokens: div(count, per) } : {}),
        },
      };
    },
  };
}
