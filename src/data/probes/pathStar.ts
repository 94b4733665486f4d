import { VitroError } from '../../tensor/errors.js';
import { checkSetting, defineProbe, type Probe } from './probe.js';

export interface PathStarSettings {
  /** paths that leave the start, d */
  readonly degree?: number;
  /** nodes of each path, start and goal among them, l */
  readonly path_length?: number;
  /** names that nodes are drawn from, N */
  readonly num_nodes?: number;
}

/**
 * Path-star graphs G(d, l) (Bachmann and Nagarajan 2024, arXiv:2403.06963, section 4): d paths of l nodes leave one start; given all edges in random
 * order, the start and the end of one path, name the nodes of that path from the start on. Under teacher forcing every node but the second can be
 * copied from the edge of the node before, so a model that learns this shortcut never learns to plan and finds the path with chance 1/d.
 * A row reads "u v | u v | ... | start goal = path"; tokens are 0 for |, 1 for =, and 2 ... num_nodes+1 for nodes. Measure
 * rows without a mistake (exact match): as all tokens before a first mistake are the true ones, this is what greedy decoding gets right.
 */
export function pathStar(settings: PathStarSettings = {}): Probe {
  const { degree = 2, path_length = 5, num_nodes = 20 } = settings;
  checkSetting('path-star', 'degree', degree, 2, 1000);
  checkSetting('path-star', 'path_length', path_length, 2, 1000);
  checkSetting('path-star', 'num_nodes', num_nodes, 3, 2 ** 20);
  const used = 1 + degree * (path_length - 1);
  if (used > num_nodes)
    throw new VitroError(`path-star: ${degree} paths of ${path_length} nodes need ${used} nodes, but num_nodes is ${num_nodes}`);
  const prompt = 3 * degree * (path_length - 1) + 3;
  return defineProbe({
    id: 'path-star',
    summary: `find which of ${degree} paths of ${path_length} nodes leads to the goal`,
    paper: 'arXiv:2403.06963',
    settings: { degree, path_length, num_nodes },
    vocab_size: num_nodes + 2,
    context: prompt + path_length - 1,
    chance: 1 / num_nodes,
    example(draws, inputs, targets) {
      const [start = 0, ...others] = draws.distinct(used, num_nodes);
      const paths = Array.from({ length: degree }, (_, p) => [start, ...others.slice(p * (path_length - 1), (p + 1) * (path_length - 1))]);
      const edges = paths.flatMap((path) => path.slice(1).map((node, i) => [path[i] as number, node] as const));
      for (const [place, e] of draws.distinct(edges.length, edges.length).entries()) {
        const [from, to] = edges[e] as readonly [number, number];
        inputs.set([from + 2, to + 2, 0], 3 * place);
      }
      const answer = paths[draws.below(degree)] as number[];
      inputs.set([start + 2, (answer[path_length - 1] as number) + 2, 1], prompt - 3);
      for (const [i, node] of answer.entries()) {
        targets[prompt - 1 + i] = node + 2;
        if (i + 1 < path_length) inputs[prompt + i] = node + 2;
      }
    },
  });
}
