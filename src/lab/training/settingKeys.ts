import type { z } from 'zod';
import type { Knob, Method, Settings } from '../../contracts/index.js';
import { knob } from '../config/fields.js';
import { nearestName, UsageError } from '../names.js';
import { checkKind } from './slotChoice.js';

/** Settings of methods as keys of a configuration, beside its own. */

export type SettingKeys = Readonly<Record<string, z.ZodOptional<ReturnType<typeof knob>>>>;

/**
 * A key for every setting of the methods of a slot, without those that the command has itself. `settingsOf`: all settings of a method with their
 * defaults; default: its own.
 */
export function settingKeys(
  methods: Readonly<Record<string, Method>>,
  taken: Readonly<Record<string, unknown>>,
  settingsOf: (method: Method) => Settings = (method) => method.defaults,
): SettingKeys {
  const found = new Map<string, { readonly ids: string[]; help: string; readonly usual: Knob }>();
  for (const [id, method] of Object.entries(methods))
    for (const [key, usual] of Object.entries(settingsOf(method))) {
      if (Object.hasOwn(taken, key)) continue;
      const entry = found.get(key) ?? { ids: [], help: '', usual };
      if (Object.hasOwn(method.defaults, key)) {
        entry.ids.push(id);
        entry.help ||= method.knobs?.[key] ?? '';
      }
      found.set(key, entry);
    }
  const value = knob();
  return Object.fromEntries(
    [...found].map(([key, { ids, help, usual }]) => {
      const owners = ids.length > 4 ? `${ids.slice(0, 4).join(', ')}, ...` : ids.join(', ');
      const parts = [help, owners === '' ? `default ${JSON.stringify(usual)}` : `setting of ${owners}`];
      return [key, value.optional().describe(parts.filter((part) => part !== '').join('; '))];
    }),
  );
}

/** A configuration in its own keys and the settings of methods. */
export function partedConfig<C extends object>(
  config: C,
  own: Readonly<Record<string, unknown>>,
): { readonly config: C; readonly settings: Settings } {
  const entries = Object.entries(config);
  return {
    config: Object.fromEntries(entries.filter(([key]) => Object.hasOwn(own, key))) as C,
    settings: Object.fromEntries(entries.filter(([key, value]) => !Object.hasOwn(own, key) && value !== undefined)) as Settings,
  };
}

/**
 * The user's settings, checked against those that a composition reads.
 * @throws UsageError that names who reads a setting that this composition does not
 */
export function checkComposition(
  spec: string,
  given: Settings,
  known: Settings,
  methods: Readonly<Record<string, Method>>,
  flag: string,
): void {
  for (const [key, value] of Object.entries(given)) {
    const usual = known[key];
    if (usual !== undefined) {
      checkKind(key, value, usual);
      continue;
    }
    const owners = Object.values(methods).filter((method) => Object.hasOwn(method.defaults, key));
    const near = nearestName(key, Object.keys(known));
    const hint =
      owners.length > 0
        ? `it belongs to ${owners
            .slice(0, 6)
            .map(({ id }) => id)
            .join(', ')}, e.g. --${flag} ${spec}+${owners[0]?.id}`
        : near
          ? `did you mean "${near}"?`
          : `its settings are ${Object.keys(known).join(', ') || 'none'}`;
    throw new UsageError(`${key}: ${spec} has no such setting; ${hint}`);
  }
}
