import type { Settings } from '../../contracts/index.js';
import { nearestName } from '../../data/names.js';
import { VitroError } from '../../tensor/errors.js';
import type { Part, RlSlots, SlotName } from './contract.js';
import type { RlMethod } from './methods/slot.js';

/** A patch that keeps the part it finds and builds on it, so that it does not clash with the patch that put it there. */
export interface Wrap<T> {
  /** a method, so that a part with a state of its own may wrap any other */
  wraps(inner: T): T;
}

/** New parts by slot: replacements, or wrappers of what is there. */
export type SlotPatches = { readonly [K in SlotName]?: RlSlots[K] | Wrap<RlSlots[K]> };

/** Marks a patch as a wrapper: `reward: wrap((inner) => ({ ...inner, name: ..., score: ... }))`. */
export const wrap = <T>(wraps: (inner: T) => T): Wrap<T> => ({ wraps });

/** A wrapper that adds to a list (auxiliary losses, learners, phases). */
export const also = <T>(...added: readonly T[]): Wrap<readonly T[]> => wrap((inner) => [...inner, ...added]);

/** A recipe with complete settings. */
export interface RlRecipe {
  /** as it was written, e.g. grpo+opo */
  readonly id: string;
  readonly slots: RlSlots;
  readonly settings: Settings;
  /** ids of the methods that were applied, ancestors included, in order */
  readonly applied: readonly string[];
}

const isWrap = (patch: unknown): patch is Wrap<unknown> => typeof patch === 'object' && patch !== null && 'wraps' in patch;

/** Every part of a recipe with its slot. */
export const partsOf = (slots: RlSlots): [SlotName, Part][] =>
  (Object.entries(slots) as [SlotName, Part | readonly Part[]][]).flatMap(([slot, part]) =>
    (Array.isArray(part) ? (part as readonly Part[]) : [part as Part]).map((p): [SlotName, Part] => [slot, p]),
  );

/** A record that composition looks methods up in. */
export type RlMethods = Readonly<Record<string, RlMethod>>;

function methodNamed(id: string, methods: RlMethods): RlMethod {
  const found = Object.hasOwn(methods, id) ? methods[id] : undefined;
  if (found) return found;
  const known = Object.keys(methods);
  const near = nearestName(id, known);
  throw new VitroError(`there is no rl method ${id}${near ? `; did you mean ${near}?` : ''} Methods: ${known.join(', ')}.`);
}

/** A method and its ancestors, the root first. */
export function chainOf(id: string, methods: RlMethods): RlMethod[] {
  const chain: RlMethod[] = [];
  for (let at: string | undefined = id; at !== undefined; ) {
    const method: RlMethod = methodNamed(at, methods);
    if (chain.includes(method)) throw new VitroError(`rl method ${id}: its parents go in a circle at ${at}`);
    chain.unshift(method);
    at = method.parent;
  }
  return chain;
}

/** What a method brings when it is added to others: itself and its ancestors up to the nearest recipe, without those that are there. */
function broughtBy(id: string, applied: readonly string[], methods: RlMethods): RlMethod[] {
  const chain = chainOf(id, methods);
  const last = chain.length - 1;
  const from = chain.findLastIndex((m, i) => i < last && (m.recipe === true || applied.includes(m.id)));
  return chain.slice(from + 1);
}

interface Builder {
  slots: RlSlots;
  readonly settings: Record<string, Settings[string]>;
  readonly applied: string[];
}

function patch(builder: Builder, method: RlMethod): void {
  for (const [slot, given] of Object.entries(method.slots) as [SlotName, unknown][])
    builder.slots = { ...builder.slots, [slot]: isWrap(given) ? given.wraps(builder.slots[slot]) : given };
  Object.assign(builder.settings, method.defaults);
  builder.applied.push(method.id);
}

function checkParts(spec: string, slots: RlSlots): void {
  const seen = new Map<string, string>();
  for (const [slot, { name }] of partsOf(slots)) {
    const key = `${slot}/${name}`;
    if (seen.has(key)) throw new VitroError(`${spec}: the slot ${slot} holds two parts named ${name}`);
    seen.set(key, slot);
  }
}

function unknownSetting(spec: string, key: string, value: unknown, known: readonly string[], slots: RlSlots): VitroError {
  const near = nearestName(key, known);
  const names = partsOf(slots).map(([slot, part]) => `${slot}: ${part.name}`);
  return new VitroError(
    `${spec}: no part of the recipe has the setting ${key} (given ${JSON.stringify(value)})${near ? `; did you mean ${near}?` : ''} ` +
      `Parts: ${names.join(', ')}. Settings: ${known.join(', ')}.`,
  );
}

/**
 * The recipe of a composition such as `grpo+clip-higher+token-mean`: the first method with all its ancestors on the given base, then each further
 * one's patch in order. Replacing what the first brought is legal; two further patches of one slot clash, unless the later one wraps.
 *
 * @throws VitroError for unknown methods, clashes and settings that no part of the recipe reads
 */
export function composeRl(
  spec: string,
  {
    methods,
    base,
    common,
    settings = {},
  }: {
    readonly methods: RlMethods;
    /** the parts that the roots patch */
    readonly base: RlSlots;
    /** settings of the loop itself */
    readonly common: Settings;
    /** the user's */
    readonly settings?: Settings;
  },
): RlRecipe {
  const [first, ...rest] = spec.split('+').map((s) => s.trim());
  const builder: Builder = { slots: base, settings: {}, applied: [] };
  for (const method of chainOf(first as string, methods)) patch(builder, method);
  const owner = new Map<SlotName, string>();
  const setBy = new Map<string, string>();
  for (const id of rest) {
    const brought = broughtBy(id, builder.applied, methods);
    if (builder.applied.includes(id)) throw new VitroError(`${spec}: ${id} is there already; name it once`);
    const touched = new Set<SlotName>();
    for (const method of brought) {
      for (const [slot, given] of Object.entries(method.slots) as [SlotName, unknown][]) {
        const other = owner.get(slot);
        if (other !== undefined && !isWrap(given))
          throw new VitroError(
            `${spec}: ${other} and ${id} clash, both replace the slot ${slot}; name one of them, or write a method that wraps the other`,
          );
        touched.add(slot);
      }
      for (const key of Object.keys(method.defaults)) {
        const other = setBy.get(key);
        if (other !== undefined && other !== id)
          throw new VitroError(`${spec}: ${other} and ${id} clash, both set ${key}; name one of them`);
      }
    }
    for (const method of brought) {
      patch(builder, method);
      for (const key of Object.keys(method.defaults)) setBy.set(key, id);
    }
    for (const slot of touched) owner.set(slot, id);
    refuseUnread(spec, id, brought, builder.slots, common, owner);
  }
  checkParts(spec, builder.slots);
  const known = knownSettings(builder.slots, common);
  for (const [key, value] of Object.entries(settings))
    if (!Object.hasOwn(known, key)) throw unknownSetting(spec, key, value, Object.keys(known), builder.slots);
  const own = Object.fromEntries(Object.entries(builder.settings).filter(([key]) => Object.hasOwn(known, key)));
  return { id: spec, slots: builder.slots, settings: { ...known, ...own, ...settings }, applied: builder.applied };
}

const knownSettings = (slots: RlSlots, common: Settings): Settings =>
  Object.assign({}, common, ...partsOf(slots).map(([, part]) => part.defaults ?? {})) as Settings;

/** A patch whose settings nothing reads does nothing: that is a clash with the patch that took the reader away, or a mistake. */
function refuseUnread(
  spec: string,
  id: string,
  brought: readonly RlMethod[],
  slots: RlSlots,
  common: Settings,
  owner: ReadonlyMap<SlotName, string>,
): void {
  const known = knownSettings(slots, common);
  const unread = brought.flatMap((m) => Object.keys(m.defaults)).filter((key) => !Object.hasOwn(known, key));
  if (unread.length === 0) return;
  const replaced = [...owner].filter(([, by]) => by !== id).map(([slot, by]) => `${by} replaced ${slot}`);
  throw new VitroError(
    `${spec}: ${id} clashes: it sets ${unread.join(', ')}, which no part reads${replaced.length > 0 ? ` (${replaced.join(', ')})` : ''}; name one of them`,
  );
}
