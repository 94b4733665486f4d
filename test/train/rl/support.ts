import type { Settings } from '../../../src/contracts/index.js';
import { taskTokenizer } from '../../../src/data/tasks/taskTokenizer.js';
import { type CausalModel, decoderModel, initModel } from '../../../src/models/causalModel.js';
import type { ParamTree } from '../../../src/nn/param.js';
import type { NDArray } from '../../../src/tensor/index.js';
import { randomKey, treeEntries } from '../../../src/tensor/index.js';
import { RolloutBatch } from '../../../src/train/rl/batch.js';
import { composeRl, type RlRecipe } from '../../../src/train/rl/compose.js';
import type { HostContext, NamedReward, PolicyService, SlotName } from '../../../src/train/rl/contract.js';
import { baseSlots, commonSettings } from '../../../src/train/rl/defaults.js';
import { Host } from '../../../src/train/rl/host.js';
import { rlMethods } from '../../../src/train/rl/methods/index.js';
import { flatTrajectory, type ScoredSample } from '../../../src/train/rl/trajectory.js';

export const tokenizer = taskTokenizer();

export const recipeOf = (spec: string, settings: Settings = {}): RlRecipe =>
  composeRl(spec, { methods: rlMethods, base: baseSlots, common: commonSettings, settings });

/** A decoder over the tasks' characters. */
export function tinyPolicy(scale = 3): { readonly model: CausalModel; readonly params: ParamTree<NDArray> } {
  const model = decoderModel({
    vocab_size: tokenizer.vocab_size,
    hidden_size: 16,
    num_hidden_layers: 1,
    num_attention_heads: 2,
    intermediate_size: 16,
    max_position_embeddings: 128,
  });
  const params = initModel(model, 3);
  for (const [path, p] of treeEntries<NDArray>(params as never))
    if (p.shape.length > 1) {
      const data = p.data as Float32Array;
      for (let i = 0; i < data.length; i++) data[i] = (data[i] as number) * (path.startsWith('embed') ? 4 * scale : scale);
    }
  return { model, params };
}

/** Numbers in (0, 1) that do not repeat soon. */
export function numbers(seed: number): () => number {
  let x = seed;
  return () => {
    x = (x * 16807) % 2147483647;
    return x / 2147483647;
  };
}

export interface SampleSpec {
  readonly group: string;
  readonly reward: number;
  readonly length: number;
  readonly trains?: boolean;
  readonly greedy?: boolean;
  /** places of tokens that the policy did not choose */
  readonly forced?: readonly number[];
  /** what the completion says, a token a character; its length is then `length` */
  readonly text?: string;
  /** of its segment */
  readonly role?: string;
}

/** A scored sample with made-up tokens. */
export function sample({ group, reward, length, trains, greedy, forced = [], text, role }: SampleSpec, next: () => number): ScoredSample {
  const tokens = text === undefined ? Int32Array.from({ length }, () => 4 + Math.floor(next() * 90)) : tokenizer.encode(text);
  const made = flatTrajectory({
    prompt: { id: 0, text: 'q', tokens: Int32Array.of(5, 6), place: 0, columns: {} },
    context: Int32Array.from({ length: 1 + Math.floor(next() * 5) }, () => 4 + Math.floor(next() * 90)),
    tokens,
    logps: Float32Array.from({ length }, () => -0.1 - 3 * next()),
    entropies: Float32Array.from({ length }, () => next()),
    text: text ?? 'a',
    finish_reason: 'stop',
    actions: Uint8Array.from({ length }, (_, j) => (forced.includes(j) ? 0 : 1)),
    ...(trains === undefined ? {} : { trains }),
    notes: greedy ? { greedy: true } : {},
  });
  const trajectory = role === undefined ? made : { ...made, segments: made.segments.map((s) => ({ ...s, role })) };
  return { trajectory, segments: trajectory.segments, group, reward, rewards: { r: reward } };
}

export const batchOf = (specs: readonly SampleSpec[], seed = 7): RolloutBatch => {
  const next = numbers(seed);
  return new RolloutBatch(specs.map((s) => sample(s, next)));
};

/** Three groups of unequal sizes and lengths, one of them with equal rewards, one with a forced token. */
export const mixedBatch = (): RolloutBatch =>
  batchOf([
    { group: 'a', reward: 1, length: 3 },
    { group: 'a', reward: 0, length: 5, forced: [1, 4] },
    { group: 'b', reward: 0.5, length: 2 },
    { group: 'a', reward: 0.25, length: 1 },
    { group: 'b', reward: 0.5, length: 4 },
    { group: 'c', reward: -1, length: 6 },
    { group: 'c', reward: 2, length: 2 },
  ]);

const noPolicy: PolicyService = {
  generate: () => Promise.reject(new Error('no policy')),
  logps: () => Promise.reject(new Error('no policy')),
  measure: () => Promise.reject(new Error('no policy')),
  nudged: () => Promise.reject(new Error('no policy')),
};

/** A host at full settings of a recipe; without a policy unless one is given. */
export function hostOf(
  recipe: RlRecipe,
  rewards: readonly NamedReward[] = [],
  more: Settings = {},
  policy: PolicyService = noPolicy,
): Host {
  return new Host({
    key: randomKey(5),
    progress: () => 0,
    tokenizer,
    eos: new Set([2]),
    rewards,
    problems: 20,
    settings: { ...recipe.settings, ...more },
    policy: () => policy,
  });
}

export const contextOf = (slot: SlotName, recipe: RlRecipe, more: Settings = {}): HostContext =>
  hostOf(recipe, [], more).context(slot, [recipe.slots[slot]].flat()[0] as never);
