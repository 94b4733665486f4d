import type { Settings } from '../../contracts/index.js';
import type { DecoderConfig, FullDecoderConfig } from '../decoder/config.js';
import type { ConfigJson, ConfigReader } from './configReader.js';

/** Keys of each scaling type: those that it needs and those that it may have. */
const types: Readonly<Record<string, { readonly needs: readonly string[]; readonly may: readonly string[] }>> = {
  default: { needs: [], may: [] },
  linear: { needs: ['factor'], may: [] },
  dynamic: { needs: ['factor'], may: [] },
  yarn: {
    needs: [],
    may: ['factor', 'attention_factor', 'beta_fast', 'beta_slow', 'mscale', 'mscale_all_dim', 'truncate'],
  },
  llama3: { needs: ['factor', 'low_freq_factor', 'high_freq_factor'], may: [] },
  longrope: { needs: ['short_factor', 'long_factor'], may: ['factor', 'attention_factor'] },
};
const withOriginal: readonly unknown[] = ['yarn', 'llama3', 'longrope'];

export interface RopeReading {
  /** default 10000 */
  readonly theta?: number;
  /** older name of rope_theta */
  readonly thetaKey?: string;
  /** share of a head that rotates where the config does not say; absent: the family rotates whole heads and refuses anything else */
  readonly partial?: number;
  /** older name of partial_rotary_factor */
  readonly partialKey?: string;
}

export type RopeFields = Pick<DecoderConfig, 'rope_theta' | 'position_settings' | 'local_position_settings' | 'max_position_embeddings'>;

/** The scaling settings of one group of rope parameters (all layers, or the layers of one type). */
export function ropeSettings(reader: ConfigReader, given: ConfigJson, context: number): Settings {
  const named = String(given.rope_type ?? given.type ?? 'default');
  // older configs of Phi-3 call longrope "su" or "yarn"
  const type = named === 'su' || (named === 'yarn' && given.short_factor) ? 'longrope' : named;
  const keys = Object.hasOwn(types, type) ? types[type] : undefined;
  if (!keys) throw reader.fail(`unknown rope type "${type}"; known: ${Object.keys(types).join(', ')}`);
  if (given.mrope_section !== undefined && given.mrope_section !== null)
    throw reader.fail('rope with "mrope_section" is for several modalities, which Vitro does not have');
  for (const key of keys.needs)
    if (given[key] === undefined || given[key] === null) throw reader.fail(`rope of type "${type}" needs "${key}"`);
  const kept = [...keys.needs, ...keys.may].filter((key) => given[key] !== undefined && given[key] !== null);
  const original = reader.optionalNumber('original_max_position_embeddings') ?? given.original_max_position_embeddings ?? context;
  return {
    ...(type === 'default' ? {} : { rope_type: type }),
    ...(withOriginal.includes(type) ? { original_max_position_embeddings: Number(original) } : {}),
    ...(type === 'dynamic' ? { original_max_position_embeddings: context } : {}),
    ...(Object.fromEntries(kept.map((key) => [key, given[key]])) as Settings),
  };
}

/** Group of rope parameters of transformers 5 (rope_parameters) or 4 (rope_scaling). */
export function ropeGroup(reader: ConfigReader): ConfigJson {
  const [scaling, parameters] = [reader.record('rope_scaling'), reader.record('rope_parameters')];
  if (scaling && parameters) throw reader.fail('holds both "rope_scaling" and "rope_parameters"; keep one');
  return scaling ?? parameters ?? {};
}

/**
 * Rotary positions of a config.json, in the spelling of transformers 5 or 4. With dynamic scaling the context is `factor` times what
 * config.json states, which is then the original context.
 */
export function ropeFields(reader: ConfigReader, options: RopeReading = {}): RopeFields {
  const context = reader.count('max_position_embeddings');
  const given = ropeGroup(reader);
  const outside = reader.optionalNumber('rope_theta') ?? (options.thetaKey ? reader.optionalNumber(options.thetaKey) : undefined);
  const inside = given.rope_theta ?? undefined;
  if (outside !== undefined && inside !== undefined && outside !== inside)
    throw reader.fail(`"rope_theta" is ${outside} outside and ${String(inside)} inside of the rope parameters`);
  const theta = Number(inside ?? outside ?? options.theta ?? 10000);
  if (!(theta > 0)) throw reader.fail(`"rope_theta" must be a positive number, got ${String(inside ?? outside)}`);
  const partial = Number(
    given.partial_rotary_factor ??
      reader.optionalNumber('partial_rotary_factor') ??
      (options.partialKey ? reader.optionalNumber(options.partialKey) : undefined) ??
      options.partial ??
      1,
  );
  if (options.partial === undefined && partial !== 1)
    throw reader.fail(`"partial_rotary_factor" is ${partial}, but this family rotates whole heads`);
  if (!(partial > 0 && partial <= 1)) throw reader.fail(`"partial_rotary_factor" must lie in (0, 1], got ${partial}`);
  const settings = ropeSettings(reader, given, context);
  return {
    rope_theta: theta,
    position_settings: { ...settings, ...(partial === 1 ? {} : { partial_rotary_factor: partial }) },
    max_position_embeddings: settings.rope_type === 'dynamic' ? Math.round(context * Number(settings.factor)) : context,
  };
}

/** The same in the spelling of transformers 4, which 5 reads too. What the spelling cannot say is left out. */
export function ropeJson(config: FullDecoderConfig): ConfigJson {
  const { rope_theta = config.rope_theta, rope_type = 'default', partial_rotary_factor, ...rest } = config.position_settings;
  const { original_max_position_embeddings: original, ...others } = rest;
  const dynamic = rope_type === 'dynamic';
  return {
    rope_theta,
    rope_scaling:
      rope_type === 'default'
        ? null
        : { rope_type, ...others, ...(original !== undefined && !dynamic ? { original_max_position_embeddings: original } : {}) },
    max_position_embeddings: dynamic && original !== undefined ? original : config.max_position_embeddings,
    ...(partial_rotary_factor !== undefined && partial_rotary_factor !== 1 ? { partial_rotary_factor } : {}),
  };
}
