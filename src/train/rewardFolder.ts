import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { ParamSpec, Settings } from '../contracts/index.js';
import { writeFiles } from '../models/checkpoint/atomicFile.js';
import { openSafetensors } from '../models/checkpoint/safetensors.js';
import { writeSafetensors } from '../models/checkpoint/safetensorsWrite.js';
import type { CausalModel } from '../models/index.js';
import type { ParamTree } from '../nn/param.js';
import { NDArray } from '../tensor/array.js';
import { VitroError } from '../tensor/errors.js';
import { type Tree, treeEntries, treeUnflatten } from '../tensor/tree.js';
import type { Layer, Patched } from './patch.js';
import { type RewardMethod, rewardData, rewardModels } from './reward/index.js';
import { patchReward } from './reward.js';

/**
 * A reward model on the disk: the language model as any other, beside it `reward_head.safetensors` (the head's matrices, [outputs, hidden size] like
 * `score.weight` of transformers' sequence classifiers) and `reward_head.json` (the methods with their settings, what was learnt from).
 */

const files = { weights: 'reward_head.safetensors', json: 'reward_head.json' } as const;

const knob = z.union([z.number(), z.string(), z.boolean(), z.array(z.number())]);
const headJson = z.object({
  format: z.literal(1),
  /** ids joined by + */
  reward_model: z.string(),
  methods: z.array(z.object({ id: z.string(), settings: z.record(z.string(), knob) })),
  /** pairs of responses, or the steps of single ones */
  data: z.enum(['pairs', 'steps']),
  /** tokens of a sequence in training */
  max_length: z.int().positive(),
  /** what stands between two steps; null for pairs */
  step_separator: z.string().nullable(),
});
export type RewardHeadJson = z.infer<typeof headJson>;

const isMatrix = (array: NDArray): boolean => array.shape.length === 2;

/** Writes the head of a reward model beside its language model. */
export async function saveRewardHead(
  folder: string,
  {
    patched,
    own,
    ...about
  }: { readonly patched: Patched<RewardMethod>; readonly own: ParamTree<NDArray> } & Pick<RewardHeadJson, 'max_length' | 'step_separator'>,
): Promise<void> {
  const tensors = treeEntries<NDArray>(own as Tree<NDArray>);
  const matrices = new Set(tensors.flatMap(([name, array]) => (isMatrix(array) ? [name] : [])));
  await writeSafetensors(join(folder, files.weights), tensors, { transpose: (name) => matrices.has(name) });
  const json: RewardHeadJson = {
    format: 1,
    reward_model: patched.id,
    methods: patched.methods.map(({ method, settings }) => ({
      id: method.id,
      settings: settings as RewardHeadJson['methods'][number]['settings'],
    })),
    data: rewardData(patched),
    ...about,
  };
  const text = `${JSON.stringify(json, null, 2)}\n`;
  await writeFiles([{ path: join(folder, files.json), produce: (file) => file.write(new TextEncoder().encode(text)) }]);
}

/** A reward model's head and what it is. */
export interface RewardHead {
  readonly patched: Patched<RewardMethod>;
  readonly own: ParamTree<NDArray>;
  readonly json: RewardHeadJson;
}

/** Swaps the axes of a matrix. */
function transposed(array: NDArray): NDArray {
  const [rows, cols] = array.shape as [number, number];
  const out = new Float32Array(rows * cols);
  for (let r = 0; r < rows; r++) for (let c = 0; c < cols; c++) out[c * rows + r] = Number(array.data[r * cols + c]);
  return new NDArray('f32', [cols, rows], out);
}

/** The methods as they were put together. */
function patchedOf(json: RewardHeadJson, path: string): Patched<RewardMethod> {
  const settings = new Map(json.methods.map(({ id, settings: own }) => [id, own as Settings]));
  const methodOf = (id: string): RewardMethod => {
    const found = rewardModels[id];
    if (!found) throw new VitroError(`${path}: there is no reward model ${id}; known are ${Object.keys(rewardModels).join(', ')}`);
    return found;
  };
  const patched = patchReward(
    json.reward_model.split('+').map((id) => ({ method: methodOf(id), settings: settings.get(id) ?? methodOf(id).defaults })),
  );
  const restored = (layer: Layer<RewardMethod>): Layer<RewardMethod> => ({
    method: layer.method,
    settings: settings.get(layer.method.id) ?? layer.settings,
  });
  return {
    id: patched.id,
    methods: patched.methods.map(restored),
    parts: Object.fromEntries(Object.entries(patched.parts).map(([part, layers]) => [part, layers.map(restored)])),
  };
}

/**
 * Reads the head that lies beside a language model.
 * @throws VitroError where there is none, or it does not belong to the model
 */
export async function loadRewardHead(folder: string, model: CausalModel): Promise<RewardHead> {
  const path = join(folder, files.json);
  const text = await readFile(path, 'utf8').catch((error: Error) => {
    throw new VitroError(`${folder} holds no reward model: ${error.message}; train one with "vitro reward"`);
  });
  const parsed = headJson.safeParse(JSON.parse(text));
  if (!parsed.success) throw new VitroError(`${path} is not what this version writes: ${z.prettifyError(parsed.error)}`);
  const patched = patchedOf(parsed.data, path);
  const layer = patched.parts.specs?.at(-1);
  const specs = (layer?.method.specs?.({ model, batch_size: 1, context: model.context, examples: 1 }, layer.settings) ??
    {}) as ParamTree<ParamSpec>;
  const source = await openSafetensors(join(folder, files.weights));
  try {
    const wanted = treeEntries<ParamSpec>(specs as unknown as Tree<ParamSpec>);
    const arrays: NDArray[] = [];
    for (const [name, spec] of wanted) {
      if (!source.names.includes(name)) throw new VitroError(`${join(folder, files.weights)} lacks ${name}`);
      const stored = await source.read(name, { dtype: 'f32' });
      const array = isMatrix(stored) ? transposed(stored) : stored;
      if (array.shape.join() !== spec.shape.join())
        throw new VitroError(
          `${join(folder, files.weights)}: ${name} is [${array.shape.join(', ')}], the model asks for [${spec.shape.join(', ')}]`,
        );
      arrays.push(array);
    }
    return { patched, own: treeUnflatten(specs, arrays) as unknown as ParamTree<NDArray>, json: parsed.data };
  } finally {
    await source.close();
  }
}
