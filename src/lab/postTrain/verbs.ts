import { z } from 'zod';
import type { Settings } from '../../contracts/index.js';
import type { ExampleKind } from '../../data/examples/index.js';
import { VitroError } from '../../tensor/errors.js';
import type { Patched, PatchMethod } from '../../train/patch.js';
import { isUnpaired, type PreferMethod, preferColumns, preferences } from '../../train/prefer/index.js';
import { patchPreference } from '../../train/prefer.js';
import { type RewardMethod, rewardColumns, rewardData, rewardModels } from '../../train/reward/index.js';
import { patchReward } from '../../train/reward.js';
import { type SftMethod, sfts } from '../../train/sft/index.js';
import { patchSft } from '../../train/sft.js';
import type { Chosen } from '../../train/step.js';
import { lookUp, UsageError } from '../names.js';
import { checkComposition, partedConfig, settingKeys } from '../training/settingKeys.js';
import { exampleKeys, type PostTrainConfig, type PostTrainVerb, type VerbTexts } from './config.js';

/** Losses of a run: what a user named, put together. */
export type Losses =
  | { readonly slot: 'sft-loss'; readonly chosen: readonly Chosen<SftMethod>[]; readonly patched: Patched<SftMethod> }
  | { readonly slot: 'preference-loss'; readonly chosen: readonly Chosen<PreferMethod>[]; readonly patched: Patched<PreferMethod> }
  | { readonly slot: 'reward-model'; readonly chosen: readonly Chosen<RewardMethod>[]; readonly patched: Patched<RewardMethod> };

/** A command that learns from examples. */
export interface Verb {
  readonly id: PostTrainVerb;
  readonly summary: string;
  /** methods that --loss_type names */
  readonly methods: Readonly<Record<string, PatchMethod>>;
  readonly usual: string;
  /** other names of methods */
  readonly aliases: Readonly<Record<string, string>>;
  readonly texts: VerbTexts;
  compose(spec: string, settings: Settings, own: Readonly<Record<string, Settings>>): Losses;
}

/** Settings that a method and its ancestors have, with the method's own defaults first. */
function knownSettings(methods: Readonly<Record<string, PatchMethod>>, root: string, ids: readonly string[]): Settings {
  const known: Record<string, Settings[string]> = { ...methods[root]?.defaults };
  for (const id of ids)
    for (let at = methods[id]; at; at = at.parent === undefined ? undefined : methods[at.parent])
      for (const [key, value] of Object.entries(at.defaults)) known[key] ??= value;
  return known;
}

/** Methods of a composition, each with the user's settings that it or an ancestor knows. */
function choose<M extends PatchMethod>(
  family: { readonly slot: string; readonly methods: Readonly<Record<string, M>>; readonly root: string },
  ids: readonly string[],
  settings: Settings,
  own: Readonly<Record<string, Settings>>,
): Chosen<M>[] {
  const { methods, root } = family;
  checkComposition(ids.join('+'), settings, knownSettings(methods, root, ids), methods, 'loss_type');
  for (const [id, given] of Object.entries(own)) {
    if (!ids.includes(id)) throw new UsageError(`method_settings: ${id} is not part of loss_type ${ids.join('+')}`);
    checkComposition(id, given, knownSettings(methods, root, [id]), methods, 'loss_type');
  }
  return ids.map((id) => {
    const method = lookUp(family.slot, id, methods);
    const known = knownSettings(methods, root, [id]);
    const read = Object.fromEntries(Object.entries(settings).filter(([key]) => Object.hasOwn(known, key)));
    return { method, settings: { ...method.defaults, ...read, ...own[id] } };
  });
}

/** Methods that clash are an error of the user's. */
function composed<T>(make: () => T): T {
  try {
    return make();
  } catch (error) {
    if (error instanceof VitroError) throw new UsageError(`loss_type: ${error.message}`);
    throw error;
  }
}

const idsOf = (spec: string, { methods, aliases }: Pick<Verb, 'methods' | 'aliases'>): string[] =>
  spec.split('+').map((part) => {
    const id = Object.hasOwn(aliases, part.trim()) ? (aliases[part.trim()] as string) : part.trim();
    lookUp('loss_type', id, methods);
    return id;
  });

const messages = 'text; rows of Alpaca and ShareGPT are read too. A jsonl, json, csv or parquet file, folder, glob, or dataset of the hub';

const sftVerb: Verb = {
  id: 'sft',
  summary: 'Fine-tune a language model on demonstrations.',
  methods: sfts,
  usual: 'sft',
  aliases: { nll: 'sft' },
  texts: {
    rows: `demonstrations with the columns messages, or prompt and completion, or ${messages}`,
    loss: 'loss, or several joined by +, e.g. dft+neftune. Default sft (cross-entropy)',
    rate: 0.1,
  },
  compose(spec, settings, own) {
    const chosen = choose({ slot: 'sft-loss', methods: sfts, root: 'sft' }, idsOf(spec, this), settings, own);
    return { slot: 'sft-loss', chosen, patched: composed(() => patchSft(chosen)) };
  },
};

const pairMethods = (unpaired: boolean) =>
  Object.fromEntries(
    Object.entries(preferences).filter(([, method]) => isUnpaired(patchPreference([{ method, settings: method.defaults }])) === unpaired),
  );

function composePreference(verb: Verb, spec: string, settings: Settings, own: Readonly<Record<string, Settings>>): Losses {
  const ids = idsOf(spec, { ...verb, methods: preferences });
  const chosen = choose({ slot: 'preference-loss', methods: preferences, root: 'dpo' }, ids, settings, own);
  const patched = composed(() => patchPreference(chosen));
  const unpaired = isUnpaired(patched);
  if (unpaired !== (verb.id === 'kto'))
    throw new UsageError(
      unpaired
        ? `loss_type ${spec} learns from single responses with a label (prompt, completion, label); use "vitro kto"`
        : `loss_type ${spec} learns from pairs (prompt, chosen, rejected); use "vitro dpo"`,
    );
  return { slot: 'preference-loss', chosen, patched };
}

const dpoVerb: Verb = {
  id: 'dpo',
  summary: 'Learn from pairs of a preferred and a rejected response.',
  methods: pairMethods(false),
  usual: 'dpo',
  aliases: { sigmoid: 'dpo' },
  texts: {
    rows: `pairs with the columns prompt, chosen, rejected (the prompt may be left out of conversations). A jsonl, json, csv or parquet file, folder, glob, or dataset of the hub`,
    loss: "loss, or several joined by +, e.g. simpo; TRL's sigmoid, ipo, hinge and robust are known. Default dpo",
    rate: 0.02,
  },
  compose(spec, settings, own) {
    return composePreference(this, spec, settings, own);
  },
};

const ktoVerb: Verb = {
  id: 'kto',
  summary: 'Learn from single responses that are marked as good or bad.',
  methods: pairMethods(true),
  usual: 'kto',
  aliases: {},
  texts: {
    rows: 'responses with the columns prompt, completion, label (true or false). A jsonl, json, csv or parquet file, folder, glob, or dataset of the hub',
    loss: 'loss, or several joined by +. Default kto',
    rate: 0.02,
  },
  compose(spec, settings, own) {
    return composePreference(this, spec, settings, own);
  },
};

const rewardVerb: Verb = {
  id: 'reward',
  summary: 'Train a reward model: a language model with a head that judges responses, or the steps of solutions.',
  methods: rewardModels,
  usual: 'bradley-terry',
  aliases: { bradley_terry: 'bradley-terry' },
  texts: {
    rows: 'pairs with the columns prompt, chosen, rejected, or for prm and its kin solutions with the columns prompt, completions, labels (a list of steps each). A jsonl, json, csv or parquet file, folder, glob, or dataset of the hub',
    loss: 'reward model, or several joined by +, e.g. prm. Default bradley-terry',
    rate: 0.1,
  },
  compose(spec, settings, own) {
    const chosen = choose({ slot: 'reward-model', methods: rewardModels, root: 'bradley-terry' }, idsOf(spec, this), settings, own);
    return { slot: 'reward-model', chosen, patched: composed(() => patchReward(chosen)) };
  },
};

export const verbs: Readonly<Record<PostTrainVerb, Verb>> = { sft: sftVerb, dpo: dpoVerb, kto: ktoVerb, reward: rewardVerb };

/** Keys of a command of its own, settings of methods aside. */
export const ownKeys = (verb: Verb) => exampleKeys(verb.id, verb.texts);

/** Everything that the configuration of a command may hold. */
export const schemaOf = (verb: Verb) => {
  const own = ownKeys(verb);
  return z.strictObject({ ...own, ...settingKeys(verb.methods, own) });
};

/** A checked configuration as its own keys and the composed losses. */
export function lossesOf(verb: Verb, checked: object): { readonly config: PostTrainConfig; readonly losses: Losses } {
  const { config, settings } = partedConfig(checked as PostTrainConfig, ownKeys(verb));
  return { config, losses: verb.compose(config.loss_type ?? verb.usual, settings, config.method_settings ?? {}) };
}

/** What the rows must be for losses, and columns of numbers that they read beside. */
export function dataOf(losses: Losses): { readonly kind: ExampleKind; readonly columns: readonly string[] } {
  if (losses.slot === 'sft-loss') return { kind: 'sft', columns: [] };
  if (losses.slot === 'reward-model')
    return {
      kind: rewardData(losses.patched) === 'steps' ? 'stepwise' : 'preference',
      columns: Object.keys(rewardColumns(losses.patched)),
    };
  return { kind: isUnpaired(losses.patched) ? 'unpaired' : 'preference', columns: Object.keys(preferColumns(losses.patched)) };
}
