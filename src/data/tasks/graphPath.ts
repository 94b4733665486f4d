import type { Draws } from '../probes/draws.js';
import { flag, integer } from './knobs.js';
import { defineTask, type TaskEntry } from './task.js';

type Neighbours = Map<string, string[]>;

const alphabet = 'abcdefghijklmnopqrstuvwxyz';

function neighboursOf(edges: readonly string[]): Neighbours {
  const out: Neighbours = new Map();
  const put = (from: string, to: string): void => {
    out.set(from, [...(out.get(from) ?? []), to].sort());
  };
  for (const [a = '', b = ''] of edges) {
    put(a, b);
    put(b, a);
  }
  return out;
}

/** Breadth-first search that stops where it sees the goal: the nodes looked at with the new nodes each one led to, and the path. */
function search(neighbours: Neighbours, start: string, goal: string): { readonly trace: readonly string[]; readonly path: string } {
  const before = new Map<string, string>([[start, '']]);
  const trace: string[] = [];
  for (const node of before.keys()) {
    if (before.has(goal)) break;
    const fresh = (neighbours.get(node) ?? []).filter((n) => !before.has(n));
    for (const n of fresh) before.set(n, node);
    trace.push(`${node}>${fresh.join('')}`);
  }
  let path = '';
  for (let node: string | undefined = before.has(goal) ? goal : ''; node; node = before.get(node)) path = node + path;
  return { trace, path };
}

/** Edges of a graph in which a path of `length` edges is the shortest one, and its ends. */
function drawGraph(draws: Draws, length: number, extraNodes: number, extraEdges: number): [string[], string, string] {
  const nodes = draws.distinct(length + 1 + extraNodes, alphabet.length).map((i) => alphabet[i] as string);
  const [start, goal] = [nodes[0] as string, nodes[length] as string];
  // hung onto what is there, a node shortens no path
  const edges = nodes.slice(1).map((node, i) => `${nodes[i < length ? i : draws.below(i + 1)]}${node}`);
  for (let i = 0; i < extraEdges; i++) {
    const [a, b] = draws.distinct(2, nodes.length).map((k) => nodes[k] as string) as [string, string];
    const wider = [...edges, `${a}${b}`];
    if (edges.includes(`${a}${b}`) || edges.includes(`${b}${a}`)) continue;
    if (search(neighboursOf(wider), start, goal).path.length === length + 1) edges.push(`${a}${b}`);
  }
  const order = draws.distinct(edges.length, edges.length);
  const written = order.map((e) => edges[e] as string).map((e) => (draws.below(2) ? e : `${e[1]}${e[0]}`));
  return [written, start, goal];
}

function score(answer: string, entry: TaskEntry): number {
  const { edges, shortest } = entry.metadata;
  const neighbours = neighboursOf(edges as string[]);
  const path = answer.trim();
  const steps = [...path].slice(1).every((node, i) => neighbours.get(path[i] as string)?.includes(node));
  const ends = path[0] === entry.answer[0] && path.at(-1) === entry.answer.at(-1);
  const fits = shortest === true ? path.length === entry.answer.length : new Set(path).size === path.length;
  return path !== '' && steps && ends && fits ? 1 : 0;
}

/** A path in an undirected graph, `ab bc ad de:ae=`: the nodes from start to goal. Steps are those of breadth-first search, `a>bd`. */
export const graphPath = defineTask({
  id: 'graph-path',
  summary: 'a path between two nodes of a graph, with the trace of breadth-first search',
  difficulty: { counts: 'edges of the shortest path', min: 1, max: 12, from: 2, to: 4 },
  knobs: {
    extra_nodes: integer(3, 0, 13, 'nodes off the path'),
    extra_edges: integer(1, 0, 20, 'further edges; those that would make a shorter path are left out'),
    shortest: flag(true, 'whether only a shortest path is right; else any path without repeated nodes'),
  },
  alphabet: `${alphabet} :=>;#`,
  draw(draws, length, { extra_nodes, extra_edges, shortest }) {
    const [edges, start, goal] = drawGraph(draws, length, extra_nodes, extra_edges);
    const sorted = edges.map((e) => [...e].sort().join('')).sort();
    return {
      identity: `${sorted.join(' ')} ${[start, goal].sort().join('')}`,
      build() {
        const { trace, path } = search(neighboursOf(edges), start, goal);
        return { prompt: `${edges.join(' ')}:${start}${goal}=`, steps: trace, answer: path, metadata: { edges, shortest } };
      },
    };
  },
  score,
});
