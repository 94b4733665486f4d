import type { Method, Settings } from '../contracts/index.js';
import { slots } from './catalogue/slots.js';
import type { CodeSlot } from './catalogue/types.js';
import { composers } from './composition.js';
import { lookUp, UsageError } from './names.js';

/** The method of one slot, or several joined by + where the slot's methods compose, with complete settings. */
export interface RecipePart {
  readonly method: string;
  readonly settings: Settings;
}

/** One method for every slot that a loop has, by the slot's id. */
export type Recipe = Readonly<Record<string, RecipePart>>;

/** Settings by slot id, e.g. { optimizer: { learning_rate: 0.001 } }. */
export type SlotSettings = Readonly<Record<string, Settings>>;

/** What a recipe is made from: the base method of every slot, and settings that go before the methods' own defaults. */
export interface RecipeBase {
  readonly base: Readonly<Record<string, string>>;
  readonly shared: SlotSettings;
}

/** Every method of the code by its id, with its slot. */
const everyMethod: Readonly<Record<string, { readonly slot: CodeSlot; readonly method: Method }>> = Object.fromEntries(
  slots.flatMap((slot) => Object.entries(slot.methods).map(([id, method]) => [id, { slot, method }])),
);

/** A method by its id, whatever its slot. Throws a UsageError with the nearest name. */
export const findMethod = (id: string): { readonly slot: CodeSlot; readonly method: Method } => lookUp('method', id, everyMethod);

const slotById: Readonly<Record<string, CodeSlot>> = Object.fromEntries(slots.map((slot) => [slot.id, slot]));

/**
 * Which method each slot gets: the base's, replaced by those that `spec` names, e.g. `muon+quest`. Two methods for one slot clash, except where the
 * slot's methods compose (`grpo+opo`).
 *
 * @throws UsageError for unknown methods, for clashes and for slots that the loop does not have
 */
export function methodsOf({ base }: Pick<RecipeBase, 'base'>, spec: string): Readonly<Record<string, string>> {
  const patched = new Map<string, string>();
  for (const id of spec.split('+').map((s) => s.trim())) {
    const { slot } = findMethod(id);
    if (!Object.hasOwn(base, slot.id))
      throw new UsageError(
        `${id} belongs to the slot ${slot.id}, which this testbed does not use; its slots: ${Object.keys(base).join(', ')}`,
      );
    const other = patched.get(slot.id);
    if (other !== undefined && composers[slot.id]) {
      patched.set(slot.id, `${other}+${id}`);
      continue;
    }
    if (other !== undefined)
      throw new UsageError(`${spec}: ${other} and ${id} clash, both are methods of the slot ${slot.id}; name one of them`);
    patched.set(slot.id, id);
  }
  return { ...base, ...Object.fromEntries(patched) };
}

/** Defaults of a method, or of a composition of methods. */
const defaultsOf = (slot: string, spec: string): Settings =>
  composers[slot]?.settings(spec) ?? lookUp(slot, spec, (slotById[slot] as CodeSlot).methods).defaults;

/** Every setting that some method of a slot has. */
function settingsOfSlot({ id, methods }: CodeSlot): Settings {
  const composer = composers[id];
  return Object.assign({}, ...Object.values(methods).map((m) => composer?.settings(m.id) ?? m.defaults)) as Settings;
}

/** Completes the settings of every slot: defaults, then what is shared, then each of `layers` in turn. Shared keys that a method lacks are left out. */
export function completeRecipe(base: RecipeBase, spec: string, ...layers: readonly SlotSettings[]): Recipe {
  const methods = methodsOf(base, spec);
  return Object.fromEntries(
    Object.entries(methods).map(([slot, id]) => {
      const defaults = defaultsOf(slot, id);
      const known = Object.fromEntries(Object.entries(base.shared[slot] ?? {}).filter(([k]) => Object.hasOwn(defaults, k)));
      const settings = Object.assign({}, defaults, known, ...layers.map((layer) => layer[slot] ?? {})) as Settings;
      return [slot, { method: id, settings }];
    }),
  );
}

/** The implementation that a recipe names for a slot. */
export function partOf<M extends Method>(recipe: Recipe, slot: string): { readonly method: M; readonly settings: Settings } {
  const part = recipe[slot];
  if (!part) throw new UsageError(`the recipe has no ${slot}`);
  return { method: lookUp(slot, part.method, (slotById[slot] as CodeSlot).methods) as M, settings: part.settings };
}

/**
 * Reads settings as users give them, `KEY=VALUE` with KEY a slot or a method and a setting (`optimizer.learning_rate=0.001`, `muon.momentum=0.9`).
 * Values are read as JSON where they are JSON, else as text.
 *
 * @throws UsageError for unknown slots, methods and settings, with the nearest name
 */
export function parseSettings(texts: readonly string[]): { readonly bySlot: SlotSettings; readonly byMethod: SlotSettings } {
  const bySlot: Record<string, Record<string, Settings[string]>> = {};
  const byMethod: Record<string, Record<string, Settings[string]>> = {};
  for (const text of texts) {
    const match = /^([^.=]+)\.([^=]+)=(.*)$/s.exec(text);
    if (!match) throw new UsageError(`--set ${text}: write it as SLOT.SETTING=VALUE, e.g. optimizer.learning_rate=0.001`);
    const [, owner, key, raw] = match as unknown as [string, string, string, string];
    const value = readValue(raw);
    if (Object.hasOwn(slotById, owner)) {
      lookUp(`setting of ${owner}`, key, settingsOfSlot(slotById[owner] as CodeSlot));
      bySlot[owner] = { ...bySlot[owner], [key]: value };
    } else {
      const found = lookUp('slot or method', owner, {
        ...everyMethod,
        ...Object.fromEntries(slots.map((s) => [s.id, undefined])),
      });
      lookUp(`setting of ${owner}`, key, found ? defaultsOf(found.slot.id, found.method.id) : {});
      byMethod[owner] = { ...byMethod[owner], [key]: value };
    }
  }
  return { bySlot, byMethod };
}

function readValue(raw: string): Settings[string] {
  try {
    const value = JSON.parse(raw) as unknown;
    if (['number', 'boolean', 'string'].includes(typeof value)) return value as Settings[string];
    if (Array.isArray(value) && value.every((x) => typeof x === 'number')) return value as number[];
  } catch {
    // plain text needs no quotes
  }
  return raw;
}

/** Settings for one recipe out of what the user gave: those of its slots that know the key, and those of its methods. */
export function settingsFor(base: RecipeBase, spec: string, given: ReturnType<typeof parseSettings>): SlotSettings {
  return Object.fromEntries(
    Object.entries(methodsOf(base, spec)).map(([slot, id]) => {
      const defaults = defaultsOf(slot, id);
      const fitting = Object.fromEntries(Object.entries(given.bySlot[slot] ?? {}).filter(([k]) => Object.hasOwn(defaults, k)));
      return [slot, Object.assign({}, fitting, ...id.split('+').map((m) => given.byMethod[m] ?? {})) as Settings];
    }),
  );
}
