/**
 * The tree of DeepSearch (Wu et al. 2025, arXiv:2509.25454) for one problem. A node is a step of a solution; leaves end it. Legend: v value, n visits, Q = v / n.
 */
export interface SearchNode {
  readonly parent: SearchNode | undefined;
  readonly children: SearchNode[];
  readonly depth: number;
  readonly tokens: readonly number[];
  readonly logps: readonly number[];
  readonly entropies: readonly number[];
  readonly terminal: boolean;
  visits: number;
  value: number;
  /** of a terminal node: 1 right, -1 wrong */
  outcome: number;
  /** whether it was chosen as a solution */
  chosen: boolean;
}

export type NewNode = Pick<SearchNode, 'tokens' | 'logps' | 'entropies' | 'terminal'>;

export const newNode = (parent: SearchNode | undefined, given: NewNode): SearchNode => ({
  ...given,
  parent,
  children: [],
  depth: parent ? parent.depth + 1 : 0,
  visits: 0,
  value: 0,
  outcome: 0,
  chosen: false,
});

/** The nodes from the root's child to a node. */
export function pathTo(node: SearchNode): SearchNode[] {
  const path: SearchNode[] = [];
  for (let at: SearchNode | undefined = node; at?.parent; at = at.parent) path.unshift(at);
  return path;
}

export const meanQuality = ({ value, visits }: SearchNode): number => (visits === 0 ? 0 : value / visits);

/**
 * Backs an outcome up from a leaf: n <- n + 1 and v <- v + w outcome, w = max((depth + 1) / (depth of the leaf + 1), 0.1), except that a right solution replaces a
 * negative v and a wrong one leaves a positive v as it is.
 */
export function backUp(leaf: SearchNode, outcome: number): void {
  for (let at: SearchNode | undefined = leaf; at; at = at.parent) {
    const added = Math.max((at.depth + 1) / (leaf.depth + 1), 0.1) * outcome;
    at.visits++;
    if (at.value * outcome >= 0) at.value += added;
    else if (outcome > 0) at.value = added;
  }
}

/** Mean negative log-probability of a path: how unsure the policy was of it. */
export function uncertainty(path: readonly SearchNode[]): number {
  const logps = path.flatMap((n) => n.logps);
  return logps.reduce((s, x) => s - x, 0) / Math.max(1, logps.length);
}

/** The first node of the highest score. */
export function best(nodes: readonly SearchNode[], score: (node: SearchNode) => number): SearchNode | undefined {
  let found: SearchNode | undefined;
  let high = Number.NEGATIVE_INFINITY;
  for (const node of nodes) {
    const own = score(node);
    if (own > high) [found, high] = [node, own];
  }
  return found;
}

export interface SearchSettings {
  /** solutions to find */
  readonly solutions: number;
  /** children of a node */
  readonly width: number;
  readonly depth: number;
  /** weight of sqrt(ln n_parent / n) in the choice among children */
  readonly exploration: number;
  /** weights of tanh Q(parent), of the uncertainty and of sqrt(depth / most depth) in the choice of the frontier */
  readonly frontier: readonly [number, number, number];
}

/** A search: `current` is expanded, its new children are settled, and so on until enough solutions are chosen or nothing is left to expand. */
export class SearchTree {
  readonly root = newNode(undefined, { tokens: [], logps: [], entropies: [], terminal: false });
  readonly nodes: SearchNode[] = [this.root];
  readonly solutions: SearchNode[] = [];
  current: SearchNode | undefined = this.root;

  constructor(readonly settings: SearchSettings) {}

  /** how many children `current` wants */
  get wanted(): number {
    return this.current ? this.settings.width - this.current.children.length : 0;
  }

  expand(children: readonly NewNode[]): SearchNode[] {
    const { current } = this;
    if (!current) return [];
    const made = children.map((child) => newNode(current, child));
    current.children.push(...made);
    this.nodes.push(...made);
    return made;
  }

  /** Chooses one of the solutions among the new nodes, whose outcomes are known, backs it up, and goes on to the next node. */
  settle(fresh: readonly SearchNode[]): void {
    for (const node of fresh) if (!node.terminal) node.visits++;
    const ends = fresh.filter((n) => n.terminal);
    this.#choose(ends);
    this.current = ends.length > 0 ? this.#frontier() : best(fresh, (n) => this.#promise(n));
    // without a frontier, solutions that were passed over are taken after all
    while (!this.current && this.#choose(this.nodes.filter((n) => n.terminal && !n.chosen)));
    if (this.solutions.length >= this.settings.solutions) this.current = undefined;
  }

  /** Of right solutions, else of all, the one that the policy is surest of. */
  #choose(ends: readonly SearchNode[]): boolean {
    if (this.solutions.length >= this.settings.solutions) return false;
    const right = ends.filter((n) => n.outcome > 0);
    const chosen = best(right.length > 0 ? right : ends, (n) => -uncertainty(pathTo(n)));
    if (!chosen) return false;
    chosen.chosen = true;
    backUp(chosen, chosen.outcome);
    this.solutions.push(chosen);
    return true;
  }

  #promise(node: SearchNode): number {
    const above = node.parent?.visits ?? 0;
    return meanQuality(node) + (above > 0 && node.visits > 0 ? this.settings.exploration * Math.sqrt(Math.log(above) / node.visits) : 0);
  }

  #frontier(): SearchNode | undefined {
    const { width, depth, frontier } = this.settings;
    const [quality, doubt, deep] = frontier;
    const open = this.nodes.filter((n) => n.parent && !n.terminal && n.children.length < width);
    return best(
      open,
      (n) => quality * Math.tanh(meanQuality(n.parent as SearchNode)) + doubt * uncertainty([n]) + deep * Math.sqrt(n.depth / depth),
    );
  }
}
