import type { ParamSpec } from '../../contracts/index.js';
import type { ParamTree } from '../../nn/param.js';
import type { NDArray } from '../../tensor/array.js';
import { VitroError } from '../../tensor/errors.js';
import { mapTree, type Tree } from '../../tensor/tree.js';
import { type CausalModel, decoderModel } from '../causalModel.js';
import { openCheckpoint } from '../checkpoint/open.js';
import type { FloatDType, TensorSource } from '../checkpoint/tensorSource.js';
import { completeConfig, type DecoderConfig } from '../decoder/config.js';
import type { ConfigJson } from './configReader.js';
import type { Family } from './family.js';
import { type Layout, readGroup, storedShape, type TensorGroup, tensorGroups } from './mapping.js';
import { readConfig } from './registry.js';

export interface LoadOptions {
  /** used instead of the checkpoint's own config.json */
  readonly config?: ConfigJson;
  /** element type of the parameters; default f32 */
  readonly dtype?: FloatDType;
  /** called after each group of tensors, with the share that is done, from 0 to 1 */
  readonly onProgress?: (done: number) => void;
}

export interface LoadedModel {
  readonly model: CausalModel;
  readonly config: DecoderConfig;
  readonly params: ParamTree<NDArray>;
  readonly family: Family;
  /** config.json as it was read */
  readonly json: ConfigJson;
  /** keys of config.json that the family does not know; they had no effect */
  readonly unread: readonly string[];
}

/** Prefixes under which checkpoints of bare or wrapped models keep the same tensors. */
const otherPrefixes = ['', 'model.', 'transformer.', 'gpt_neox.', 'language_model.model.', 'model.language_model.'];

/** The layout with the prefix that the checkpoint really uses. */
function layoutOf(family: Family, config: DecoderConfig, names: ReadonlySet<string>): Layout {
  const full = completeConfig(config);
  const { prefix, modules = {} } = family.layout(full, () => false);
  const table = `${modules.embed_tokens ?? 'embed_tokens'}.weight`;
  const own = [prefix, ...otherPrefixes].find((p) => names.has(`${p}${table}`)) ?? prefix;
  return { ...family.layout(full, (name) => names.has(`${own}${name}`)), prefix: own };
}

const listed = (what: string, items: readonly string[]): string[] =>
  items.length === 0
    ? []
    : [`${items.length} ${what}: ${items.slice(0, 12).join(', ')}${items.length > 12 ? `, and ${items.length - 12} more` : ''}`];

/** Compares what the config asks for with what the checkpoint holds. */
function checkTensors(groups: readonly TensorGroup[], source: TensorSource, layout: Layout, tied: boolean): void {
  const expected = new Map(groups.flatMap((group) => group.tensors.map((name) => [name, storedShape(group)] as const)));
  const names = new Set(source.names);
  const missing = [...expected.keys()].filter((name) => !names.has(name));
  const misshapen = [...expected].flatMap(([name, shape]) => {
    const found = names.has(name) ? source.info(name).shape : shape;
    return found.join() === shape.join() ? [] : [`${name} is [${found.join(', ')}], the config asks for [${shape.join(', ')}]`];
  });
  const head = `${layout.modules?.lm_head ?? 'lm_head'}.weight`;
  const extra = source.names.filter(
    (name) => !expected.has(name) && !(tied && name === head) && !layout.ignores?.some((pattern) => pattern.test(name)),
  );
  const complaints = [...listed('missing', missing), ...listed('of another shape', misshapen), ...listed('unexpected', extra)];
  if (complaints.length > 0) throw new VitroError(`the tensors of the checkpoint do not fit its config.json\n  ${complaints.join('\n  ')}`);
}

/** A tied checkpoint may hold its table twice; a head that differs contradicts the config. */
async function checkTiedHead(source: TensorSource, layout: Layout, table: NDArray, dtype: FloatDType): Promise<void> {
  const name = `${layout.modules?.lm_head ?? 'lm_head'}.weight`;
  if (!source.names.includes(name)) return;
  const head = await source.read(name, { dtype });
  const [a, b] = [head.data as Float32Array, table.data as Float32Array];
  if (a.length !== b.length || a.some((x, i) => x !== b[i]))
    throw new VitroError(`config.json says tie_word_embeddings, but "${name}" differs from the embedding table; set it to false`);
}

/** Reads the parameters of a config's decoder from open tensors. */
export async function loadParams(
  source: TensorSource,
  family: Family,
  config: DecoderConfig,
  { dtype = 'f32', onProgress }: Pick<LoadOptions, 'dtype' | 'onProgress'> = {},
): Promise<ParamTree<NDArray>> {
  const { specs } = decoderModel(config);
  const layout = layoutOf(family, config, new Set(source.names));
  const groups = tensorGroups(layout, specs);
  const tied = completeConfig(config).tie_word_embeddings;
  checkTensors(groups, source, layout, tied);
  const arrays = new Map<string, NDArray>();
  for (const [i, group] of groups.entries()) {
    const read = await readGroup(source, group, dtype);
    for (const [k, { path }] of group.parts.entries()) arrays.set(path, read[k] as NDArray);
    onProgress?.((i + 1) / groups.length);
  }
  if (tied) await checkTiedHead(source, layout, arrays.get('embed_tokens.weight') as NDArray, dtype);
  return mapTree(specs as unknown as Tree<ParamSpec>, (_, path) => arrays.get(path) as NDArray) as unknown as ParamTree<NDArray>;
}

/**
 * Loads a language model: a folder in Hugging Face's layout, a .safetensors file beside its config.json, a .gguf or a llama2.c .bin file.
 * Tensors are streamed into the parameters one by one.
 *
 * @throws VitroError for a config that no family reads, and, in one message, for tensors that are missing, unexpected or of another shape
 */
export async function loadModel(path: string, options: LoadOptions = {}): Promise<LoadedModel> {
  const { source, config: own } = await openCheckpoint(path);
  try {
    const json = options.config ?? own;
    if (!json) throw new VitroError(`${path}: there is no config.json beside the weights; give the option config`);
    const { family, config, unread } = readConfig(json);
    const params = await loadParams(source, family, config, options);
    return { model: decoderModel(config), config, params, family, json, unread };
  } finally {
    await source.close();
  }
}
