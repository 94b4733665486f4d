import { NDArray } from './array.js';
import { VitroError } from './errors.js';
import { Tensor } from './graph.js';

/** A nested record (objects and arrays) with leaves of type T; undefined and null fields are empty subtrees. */
export type Tree<T> = T | readonly Tree<T>[] | { readonly [key: string]: Tree<T> } | undefined | null;

const isLeaf = (v: unknown): boolean =>
  v instanceof NDArray ||
  v instanceof Tensor ||
  ArrayBuffer.isView(v) ||
  (typeof v !== 'object' && v !== undefined) ||
  Object.hasOwn(v ?? {}, 'isTreeLeaf');

/** Leaves with their dotted paths, in key order of the record (insertion order). */
export function treeEntries<T>(tree: Tree<T>, path = ''): [string, T][] {
  if (tree === undefined || tree === null) return [];
  if (isLeaf(tree)) return [[path, tree as T]];
  const join = (k: string): string => (path ? `${path}.${k}` : k);
  return Object.entries(tree as Record<string, Tree<T>>).flatMap(([k, v]) => treeEntries<T>(v, join(k)));
}

export const treeLeaves = <T>(tree: Tree<T>): T[] => treeEntries(tree).map(([, leaf]) => leaf);

/** Applies f to every leaf and keeps the structure; further trees must have the structure of the first. */
export function treeMap<R>(f: (path: string, ...leaves: never[]) => R, tree: unknown, ...rest: unknown[]): unknown {
  const visit = (path: string, node: unknown, others: unknown[]): unknown => {
    if (node === undefined || node === null) return node;
    if (isLeaf(node)) return (f as (path: string, ...leaves: unknown[]) => R)(path, node, ...others);
    const child = (k: string): unknown => {
      const kids = others.map((o) => {
        if (typeof o !== 'object' || o === null || !(k in o))
          throw new VitroError(`tree structures differ: "${path ? `${path}.` : ''}${k}" is missing in one of them`);
        return (o as Record<string, unknown>)[k];
      });
      return visit(path ? `${path}.${k}` : k, (node as Record<string, unknown>)[k], kids);
    };
    return Array.isArray(node) ? node.map((_, i) => child(String(i))) : Object.fromEntries(Object.keys(node).map((k) => [k, child(k)]));
  };
  return visit('', tree, rest);
}

/** Applies f to every leaf of one tree, typed. */
export const mapTree = <T, R>(tree: Tree<T>, f: (leaf: T, path: string) => R): Tree<R> =>
  treeMap((path: string, leaf: never) => f(leaf as T, path), tree) as Tree<R>;

/** Rebuilds a tree of `like`'s structure from leaves in its order. */
export function treeUnflatten<R>(like: unknown, leaves: readonly R[]): unknown {
  let i = 0;
  const out = treeMap(() => {
    if (i >= leaves.length) throw new VitroError(`tree needs more than ${leaves.length} leaves`);
    return leaves[i++];
  }, like);
  if (i !== leaves.length) throw new VitroError(`tree has ${i} leaves, got ${leaves.length}`);
  return out;
}

/** A canonical text of the structure (keys and nesting), for cache keys and comparisons. */
export function treeDef(tree: unknown): string {
  if (tree === undefined || tree === null) return '~';
  if (isLeaf(tree)) return '*';
  if (Array.isArray(tree)) return `[${tree.map(treeDef).join(',')}]`;
  return `{${Object.entries(tree)
    .map(([k, v]) => `${JSON.stringify(k)}:${treeDef(v)}`)
    .join(',')}}`;
}
