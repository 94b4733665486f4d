import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { ParamTree } from '../../nn/param.js';
import type { NDArray } from '../../tensor/array.js';
import { VitroError } from '../../tensor/errors.js';
import { type Tree, treeEntries } from '../../tensor/tree.js';
import { decoderModel } from '../causalModel.js';
import { writeFiles } from '../checkpoint/atomicFile.js';
import type { WritableTensor } from '../checkpoint/emitTensor.js';
import { writeSafetensorsFolder } from '../checkpoint/safetensorsWrite.js';
import type { FloatDType } from '../checkpoint/tensorSource.js';
import { completeConfig, type DecoderConfig } from '../decoder/config.js';
import type { ConfigJson } from './configReader.js';
import type { Family } from './family.js';
import { isPlain, storedShape, storedTensor, type TensorGroup, tensorGroups } from './mapping.js';
import { familyOf, fittingFamily, misfits } from './registry.js';

export interface SpecialTokens {
  readonly bos_token_id?: number | null;
  readonly eos_token_id?: number | readonly number[] | null;
  readonly pad_token_id?: number | null;
}

export interface SaveOptions {
  readonly config: DecoderConfig;
  readonly params: ParamTree<NDArray>;
  /** model_type to write; default: the first family that expresses the config, Llama before all others, and "vitro" where none does */
  readonly family?: string;
  /** further files of the folder by name, e.g. tokenizer.json */
  readonly tokenizerFiles?: Readonly<Record<string, string | Uint8Array>>;
  /** element type in the file; default: that of the parameters */
  readonly dtype?: FloatDType;
  readonly tokens?: SpecialTokens;
  /** larger checkpoints are divided; default 5 GB */
  readonly max_shard_bytes?: number;
}

/** The family to save as. */
function chosenFamily({ config, family: name }: SaveOptions): Family {
  if (name === undefined) return fittingFamily(config);
  const family = familyOf(name);
  const wrong = misfits(family, config);
  if (wrong.length > 0)
    throw new VitroError(`saveModel: model_type "${name}" cannot express this model, it differs in ${wrong.join(', ')}; leave family out`);
  return family;
}

const dtypeNames = { f32: 'float32', f16: 'float16', bf16: 'bfloat16' } as const;

/** config.json of a decoder as `saveModel` writes it. */
export function configJson(family: Family, options: Pick<SaveOptions, 'config' | 'tokens'>, dtype: FloatDType = 'f32'): ConfigJson {
  const { bos_token_id = null, eos_token_id = null, pad_token_id = null } = options.tokens ?? {};
  return {
    architectures: [family.architecture],
    model_type: family.model_type,
    ...family.configTo(completeConfig(options.config)),
    bos_token_id,
    eos_token_id,
    pad_token_id,
    torch_dtype: dtypeNames[dtype],
  };
}

/** Keys that transformers declares as float; it refuses 12 there and wants 12.0. */
const floatKeys = [
  ...['attn_logit_softcapping', 'final_logit_softcapping', 'rms_norm_eps', 'layer_norm_eps', 'layer_norm_epsilon', 'rope_theta'],
  ...['rope_local_base_freq', 'partial_rotary_factor', 'rotary_pct', 'factor', 'attention_factor', 'beta_fast', 'beta_slow'],
  ...['low_freq_factor', 'high_freq_factor', 'mscale', 'mscale_all_dim'],
];
const wholeFloat = new RegExp(`("(?:${floatKeys.join('|')})": -?\\d+)(?=,?$)`, 'gm');

const fileText = (json: ConfigJson): string => `${JSON.stringify(json, null, 2).replace(wholeFloat, '$1.0')}\n`;

/** Tensors of the checkpoint; those that join several parameters are made when their turn to be written comes. */
function writable(groups: readonly TensorGroup[], arrays: ReadonlyMap<string, NDArray>): [string, WritableTensor][] {
  return groups.flatMap((group) => {
    const parts = group.parts.map(({ path, shape }) => {
      const found = arrays.get(path);
      if (found?.shape.join() !== shape.join())
        throw new VitroError(
          `saveModel: "${path}" is ${found ? `[${found.shape.join(', ')}]` : 'missing'}, the config asks for [${shape.join(', ')}]`,
        );
      return found;
    });
    const [first] = parts as [NDArray];
    return group.tensors.map((name, i): [string, WritableTensor] => [
      name,
      isPlain(group) ? first : { dtype: first.dtype, shape: storedShape(group), load: async () => storedTensor(group, i, parts) },
    ]);
  });
}

/**
 * Writes a model as a folder in Hugging Face's layout (config.json, generation_config.json, model.safetensors), which Python's transformers
 * loads unless the model is of Vitro's own kind. Every file appears whole or not at all.
 *
 * @returns the model_type that was written
 * @throws VitroError where the given family cannot express the config, or parameters do not fit it
 */
export async function saveModel(folder: string, options: SaveOptions): Promise<string> {
  const family = chosenFamily(options);
  const { specs } = decoderModel(options.config);
  const groups = tensorGroups(
    family.layout(completeConfig(options.config), () => false),
    specs,
  );
  const arrays = new Map(treeEntries<NDArray>(options.params as unknown as Tree<NDArray>));
  const expected = new Set(groups.flatMap((group) => group.parts.map(({ path }) => path)));
  const extra = [...arrays.keys()].filter((path) => !expected.has(path));
  if (extra.length > 0) throw new VitroError(`saveModel: the config has no parameters ${extra.slice(0, 12).join(', ')}`);
  const turned = new Set(groups.filter((g) => isPlain(g) && g.transposed && storedShape(g).length === 2).flatMap((g) => g.tensors));
  const tensors = writable(groups, arrays);
  const dtype = options.dtype ?? (arrays.get('embed_tokens.weight')?.dtype as FloatDType);
  const json = configJson(family, options, dtype);
  const { bos_token_id, eos_token_id, pad_token_id } = json;
  const files: Record<string, string | Uint8Array> = {
    ...options.tokenizerFiles,
    'config.json': fileText(json),
    'generation_config.json': fileText({ bos_token_id, eos_token_id, pad_token_id }),
  };
  for (const name of Object.keys(files))
    if (!/^[\w.-]+$/.test(name) || name.startsWith('.')) throw new VitroError(`saveModel: ${JSON.stringify(name)} is no plain file name`);
  await mkdir(folder, { recursive: true });
  await writeSafetensorsFolder(folder, tensors, {
    transpose: (name) => turned.has(name),
    ...(options.dtype ? { dtype: options.dtype } : {}),
    ...(options.max_shard_bytes ? { max_shard_bytes: options.max_shard_bytes } : {}),
  });
  await writeFiles(
    Object.entries(files).map(([name, content]) => ({
      path: join(folder, name),
      produce: (file) => file.write(typeof content === 'string' ? new TextEncoder().encode(content) : content),
    })),
  );
  return family.model_type;
}
