import { VitroError } from './errors.js';
import type { Tensor } from './graph.js';

/** What a handler does with a site: reads it (returns nothing) or replaces it (returns a tensor of the same shape and dtype). */
export type SiteHandler = (x: Tensor, name: string) => Tensor | undefined;
/** Handlers by site name; `*` stands for one dotted part ('layers.*.attn.scores'), `**` for any number of parts. */
export type SiteHandlers = Readonly<Record<string, SiteHandler>>;

interface Frame {
  readonly entries: readonly { readonly pattern: string; readonly matches: (name: string) => boolean; readonly handler: SiteHandler }[];
  readonly collecting: boolean;
  readonly used: Set<string>;
  readonly seen: Set<string>;
}

const frames: Frame[] = [];
let scanDepth = 0;

/**
 * Names an intermediate value, e.g. `site('layers.3.attn.scores', x)`, so that a caller can read or replace it with withSites. Without a
 * handler this is x itself: nothing is added to the graph.
 */
export function site(name: string, x: Tensor): Tensor {
  let value = x;
  // The innermost handlers act first; outer ones see what those made of the value.
  for (let i = frames.length - 1; i >= 0; i--) {
    const frame = frames[i] as Frame;
    frame.seen.add(name);
    for (const { pattern, matches, handler } of frame.entries) {
      if (!matches(name)) continue;
      frame.used.add(pattern);
      if (frame.collecting && scanDepth > 0)
        throw new VitroError(`site "${name}" lies inside a scan, from which values cannot be collected; return it from the body instead`);
      value = checkedReplacement(name, value, handler(value, name) ?? value);
    }
  }
  return value;
}

function checkedReplacement(name: string, old: Tensor, value: Tensor): Tensor {
  if (value === old || (value.dtype === old.dtype && String(value.shape) === String(old.shape))) return value;
  throw new VitroError(
    `the handler of site "${name}" returned ${value.dtype}[${value.shape.join(', ')}]; it must keep ${old.dtype}[${old.shape.join(', ')}]`,
  );
}

function matcher(pattern: string): (name: string) => boolean {
  if (!pattern.includes('*')) return (name) => name === pattern;
  const source = pattern
    .split(/(\*\*|\*)/)
    .map((part) => (part === '**' ? '.*' : part === '*' ? '[^.]*' : part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')))
    .join('');
  const regex = new RegExp(`^${source}$`);
  return (name) => regex.test(name);
}

function run<R>(handlers: SiteHandlers, collecting: boolean, fn: () => R): R {
  const entries = Object.entries(handlers).map(([pattern, handler]) => ({ pattern, matches: matcher(pattern), handler }));
  const frame: Frame = { entries, collecting, used: new Set(), seen: new Set() };
  frames.push(frame);
  let result: R;
  try {
    result = fn();
  } finally {
    frames.splice(frames.indexOf(frame), 1);
  }
  if (result instanceof Promise) throw new VitroError('withSites needs a function that builds its graph at once; it got an async one');
  for (const { pattern } of entries)
    if (!frame.used.has(pattern)) {
      const names = [...frame.seen];
      const list = names.length > 20 ? `${names.slice(0, 20).join(', ')}, ... (${names.length} in all)` : names.join(', ') || 'none';
      throw new VitroError(`no site matches "${pattern}"; sites met: ${list}`);
    }
  return result;
}

/**
 * Runs `fn`, which builds a graph, with handlers at its sites. A pattern that no site matches is an error. To take values out of the
 * model, use collectSites: a handler that keeps a value from inside a checkpoint or scan keeps something that has no meaning outside.
 */
export const withSites = <R>(handlers: SiteHandlers, fn: () => R): R => run(handlers, false, fn);

/** Runs `fn` and returns its result with the values of all sites that match the patterns, by name. Checkpoints are traced in place meanwhile. */
export function collectSites<R>(patterns: readonly string[], fn: () => R): { result: R; values: Map<string, Tensor> } {
  const values = new Map<string, Tensor>();
  const keep: SiteHandler = (x, name) => {
    values.set(name, x);
  };
  const result = run(Object.fromEntries(patterns.map((p) => [p, keep])), true, fn);
  return { result, values };
}

/**
 * Whether a handler waits for this site. For values that a fused operation never makes: the layer computes them openly only if somebody looks,
 * and must then call `site` with them.
 */
export function isWatched(name: string): boolean {
  for (const frame of frames) frame.seen.add(name);
  return frames.some(({ entries }) => entries.some(({ matches }) => matches(name)));
}

/** Whether values of sites are being taken out of the graph that is built. */
export const isCollecting = (): boolean => frames.some((f) => f.collecting);

/** Runs the body of a scan, from which sites cannot be collected. */
export function insideScan<R>(fn: () => R): R {
  scanDepth++;
  try {
    return fn();
  } finally {
    scanDepth--;
  }
}
