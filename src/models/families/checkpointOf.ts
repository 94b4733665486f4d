import type { ParamTree } from '../../nn/param.js';
import type { NDArray } from '../../tensor/array.js';
import { VitroError } from '../../tensor/errors.js';
import { type Tree, treeEntries } from '../../tensor/tree.js';
import { decoderModel } from '../causalModel.js';
import type { WritableTensor } from '../checkpoint/emitTensor.js';
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

export interface ModelToWrite {
  readonly config: DecoderConfig;
  readonly params: ParamTree<NDArray>;
  /** model_type to write; default: the first family that expresses the config, Llama before all others, and "vitro" where none does */
  readonly family?: string;
  /** element type in the file; default: that of the parameters */
  readonly dtype?: FloatDType;
  readonly tokens?: SpecialTokens;
}

/** A model under Hugging Face's names, in the form that the writers of checkpoints take. */
export interface HuggingFaceModel {
  readonly family: Family;
  /** config.json */
  readonly json: ConfigJson;
  readonly tensors: readonly (readonly [string, WritableTensor])[];
  /** tensors that stand [in, out] and must be turned while writing */
  readonly transpose: (name: string) => boolean;
}

/** The family to save as. */
function chosenFamily({ config, family: name }: ModelToWrite): Family {
  if (name === undefined) return fittingFamily(config);
  const family = familyOf(name);
  const wrong = misfits(family, config);
  if (wrong.length > 0)
    throw new VitroError(`model_type "${name}" cannot express this model, it differs in ${wrong.join(', ')}; leave family out`);
  return family;
}

const dtypeNames = { f32: 'float32', f16: 'float16', bf16: 'bfloat16' } as const;

/** config.json of a decoder as Vitro writes it. */
export function configJson(family: Family, options: Pick<ModelToWrite, 'config' | 'tokens'>, dtype: FloatDType = 'f32'): ConfigJson {
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

/** Tensors of the checkpoint; those that join several parameters are made when their turn to be written comes. */
function writable(groups: readonly TensorGroup[], arrays: ReadonlyMap<string, NDArray>): [string, WritableTensor][] {
  return groups.flatMap((group) => {
    const parts = group.parts.map(({ path, shape }) => {
      const found = arrays.get(path);
      if (found?.shape.join() !== shape.join())
        throw new VitroError(
          `"${path}" is ${found ? `[${found.shape.join(', ')}]` : 'missing'}, the config asks for [${shape.join(', ')}]`,
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
 * A model as a checkpoint of its family, to be written by writeSafetensorsFolder, exportGguf or writeLlama2c. Tensors that are stored as they
 * are share the parameters' memory.
 *
 * @throws VitroError where the given family cannot express the config, or parameters do not fit it
 */
export function asHuggingFace(options: ModelToWrite): HuggingFaceModel {
  const family = chosenFamily(options);
  const { specs } = decoderModel(options.config);
  const groups = tensorGroups(
    family.layout(completeConfig(options.config), () => false),
    specs,
  );
  const arrays = new Map(treeEntries<NDArray>(options.params as unknown as Tree<NDArray>));
  const expected = new Set(groups.flatMap((group) => group.parts.map(({ path }) => path)));
  const extra = [...arrays.keys()].filter((path) => !expected.has(path));
  if (extra.length > 0) throw new VitroError(`the config has no parameters ${extra.slice(0, 12).join(', ')}`);
  const turned = new Set(groups.filter((g) => isPlain(g) && g.transposed && storedShape(g).length === 2).flatMap((g) => g.tensors));
  const tensors = writable(groups, arrays);
  const dtype = options.dtype ?? (arrays.get('embed_tokens.weight')?.dtype as FloatDType);
  return { family, json: configJson(family, options, dtype), tensors, transpose: (name) => turned.has(name) };
}
