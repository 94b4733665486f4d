import type { CatalogueItem } from './types.js';

/** A method with those that name it as their parent. */
export interface TreeNode {
  readonly item: CatalogueItem;
  readonly children: readonly TreeNode[];
}

/**
 * The family trees of the methods in the code. A parent is looked up in the method's own slot; a method whose parent is absent from it
 * (a method of another slot, or one that a filter left out) starts a tree of its own. Cycles end at the repeated method.
 */
export function familyTrees(items: readonly CatalogueItem[]): TreeNode[] {
  const methods = items.filter(({ method }) => method !== null);
  const parentOf = (item: CatalogueItem): CatalogueItem | undefined =>
    methods.find(({ entry }) => entry.slot === item.entry.slot && entry.id === item.entry.parent);
  const reached = new Set<CatalogueItem>();
  const grow = (item: CatalogueItem): TreeNode => {
    reached.add(item);
    const children = methods.filter((m) => parentOf(m) === item && !reached.has(m));
    return { item, children: children.map(grow) };
  };
  const trees = methods.filter((m) => parentOf(m) === undefined).map(grow);
  // what is left hangs in a cycle
  for (const item of methods) if (!reached.has(item)) trees.push(grow(item));
  return trees;
}
