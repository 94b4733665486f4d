import type { RolloutBatch } from '../batch.js';
import type { Advantage, Rollout, RolloutContext, Scaffolded } from '../contract.js';
import type { Trajectory } from '../trajectory.js';
import { byRequest, innerRollout, joinedTrajectory } from './partialRollouts.js';
import { type NewNode, pathTo, type SearchNode, SearchTree } from './searchTree.js';

/** Rollouts of DeepSearch (arXiv:2509.25454): a tree search for each problem, side by side. */

interface Search {
  readonly from: Scaffolded;
  readonly tree: SearchTree;
}

/** A path as a trajectory; its notes say where steps end and, once the search is over, what they are worth. */
function pathTrajectory(from: Scaffolded, leaf: SearchNode, context: RolloutContext): Trajectory {
  const path = pathTo(leaf);
  const joined = {
    tokens: path.flatMap((n) => n.tokens),
    logps: path.flatMap((n) => n.logps),
    entropies: path.flatMap((n) => n.entropies),
  };
  const search = { sizes: path.map((n) => n.tokens.length), values: path.map((n) => n.value) };
  return joinedTrajectory(from, joined, context, { search });
}

/** Children that every search wants of its current node: steps of one kind in one call. */
async function newChildren(searches: readonly Search[], round: number, context: RolloutContext): Promise<NewNode[][]> {
  const { policy, eos, number, settings } = context;
  const [most, depth] = [number('max_completion_length'), number('deepsearch_depth')];
  const out: NewNode[][] = searches.map(() => []);
  for (const last of [false, true]) {
    const own = [...searches.keys()].filter((i) => (searches[i]?.tree.current?.depth ?? 0) + 1 >= depth === last);
    const paths = own.map((i) => pathTo((searches[i] as Search).tree.current as SearchNode).flatMap((n) => n.tokens));
    const made = await policy.generate(
      own.map((i, k) => {
        const { from, tree } = searches[i] as Search;
        return { context: Int32Array.from([...from.context, ...(paths[k] as number[])]), n: tree.wanted, id: from.prompt.place ?? i };
      }),
      {
        max_tokens: most - Math.min(most - 1, ...paths.map((p) => p.length)),
        // the last level writes solutions to their end
        ...(last ? {} : { stop: [...String(settings.deepsearch_ends)] }),
        purpose: round === 0 ? '' : `search ${round}`,
      },
    );
    for (const [k, i] of own.entries()) {
      const room = most - (paths[k] as number[]).length;
      out[i] = (made[k] ?? []).map(({ tokens, sampling_logps, entropies }) => {
        const kept = [...tokens].slice(0, room);
        const terminal = last || kept.length === room || eos.has(kept.at(-1) ?? -1);
        return { tokens: kept, logps: [...sampling_logps].slice(0, room), entropies: [...entropies].slice(0, room), terminal };
      });
    }
  }
  return out;
}

/** Solutions of each problem, `count` each unless a tree holds fewer, in the order in which they were found first. */
async function searchSolutions(prompts: readonly Scaffolded[], count: number, context: RolloutContext): Promise<Trajectory[]> {
  const { number } = context;
  const shape = {
    solutions: count,
    width: number('deepsearch_width'),
    depth: number('deepsearch_depth'),
    exploration: number('deepsearch_exploration'),
    frontier: [number('deepsearch_quality'), number('deepsearch_doubt'), number('deepsearch_deep')],
  } as const;
  const searches = prompts.map((from): Search => ({ from, tree: new SearchTree(shape) }));
  for (let round = 0; ; round++) {
    const active = searches.filter(({ tree }) => tree.current);
    if (active.length === 0) break;
    const children = await newChildren(active, round, context);
    const fresh = active.map(({ tree }, i) => tree.expand(children[i] as NewNode[]));
    const ends = active.flatMap(({ from }, i) => (fresh[i] as SearchNode[]).filter((n) => n.terminal).map((node) => ({ from, node })));
    const earned = await context.score(ends.map(({ from, node }) => pathTrajectory(from, node, context)));
    for (const [k, { node }] of ends.entries()) node.outcome = (earned[k] as number) > 0.5 ? 1 : -1;
    for (const [i, { tree }] of active.entries()) tree.settle(fresh[i] as SearchNode[]);
  }
  context.metric('deepsearch_nodes', searches.reduce((n, { tree }) => n + tree.nodes.length - 1, 0) / Math.max(1, searches.length));
  return searches.flatMap(({ from, tree }) => tree.nodes.filter((n) => n.chosen).map((leaf) => pathTrajectory(from, leaf, context)));
}

/** Kept solutions of problems as if they were sampled now: their log-probabilities are those of the policy of the moment. */
async function replaySolutions(
  prompts: readonly Scaffolded[],
  solution: (id: number) => readonly number[],
  context: RolloutContext,
): Promise<Trajectory[]> {
  if (prompts.length === 0) return [];
  const kept = prompts.map(({ prompt }) => solution(prompt.id));
  const scored = await context.policy.logps(prompts.map((p, i) => ({ context: p.context, tokens: Int32Array.from(kept[i] as number[]) })));
  return prompts.map((from, i) => {
    const tokens = kept[i] as readonly number[];
    return joinedTrajectory(from, { tokens, logps: scored[i] as Float64Array, entropies: tokens.map(() => 0) }, context, {
      replayed: true,
    });
  });
}

interface Solved {
  /** tokens of a solution of each rarely solved problem, by id */
  readonly solved: Record<string, number[]>;
}

/** Searched groups; a problem that is seldom solved is searched once, and from then on its solution joins independent completions. */
export const treeSearch = (inner: Rollout): Rollout => {
  const rollout: Rollout<Solved> = {
    ...inner,
    name: `${inner.name}+tree-search`,
    defaults: {
      ...inner.defaults,
      deepsearch_width: 4,
      deepsearch_depth: 16,
      deepsearch_ends: ';#\n',
      deepsearch_exploration: 2,
      deepsearch_quality: 0.4,
      deepsearch_doubt: 0,
      deepsearch_deep: 0.01,
      deepsearch_replay: 0.25,
    },
    init: () => ({ solved: {} }),
    sample: async (prompts, context) => {
      const { state, num_generations: n } = context;
      const rare = prompts.filter(({ prompt }) => state.solved[prompt.id]);
      const searched = await searchSolutions(
        prompts.filter((p) => !rare.includes(p)),
        n,
        context,
      );
      const cached = await replaySolutions(rare, (id) => state.solved[id] as number[], context);
      const fresh = rare.length > 0 && n > 1 ? await inner.sample(rare, innerRollout(inner, context, { num_generations: n - 1 })) : [];
      const all = [...searched, ...cached, ...fresh];
      const rewards = await context.score(all);
      const right = new Set(all.filter((_, i) => (rewards[i] as number) > 0.5));
      for (const group of byRequest(prompts, all)) {
        const [first] = group.filter((t) => right.has(t));
        const id = group[0]?.prompt.id ?? -1;
        const share = group.filter((t) => right.has(t)).length / Math.max(1, group.length);
        if (!first || share > context.number('deepsearch_replay')) delete state.solved[id];
        else state.solved[id] = first.segments.flatMap((s) => [...s.tokens]);
      }
      return all;
    },
  };
  return rollout;
};

const outcomeOf = (reward: number): number => (reward > 0.5 ? 1 : -1);

/** A = q - mean of the group's outcomes (1 or -1): q = tanh of the value of a token's step, at the last step the outcome itself, as elsewhere in the group. */
export const stepValues: Advantage = {
  name: 'step-values',
  compute: (batch: RolloutBatch) => {
    const mean = batch.perGroup((r) => r.reduce((s, x) => s + outcomeOf(x), 0) / Math.max(1, r.length));
    const out = new Float64Array(batch.tokens);
    for (const [n, { trajectory }] of batch.samples.entries()) {
      const { start, end } = batch.span(n);
      const outcome = outcomeOf(batch.rewards[n] as number);
      out.fill(outcome - (mean[n] as number), start, end);
      const search = trajectory.notes.search as { readonly sizes: number[]; readonly values: number[] } | undefined;
      let at = start;
      for (const [j, size] of (search?.sizes ?? []).slice(0, -1).entries()) {
        out.fill(Math.tanh(search?.values[j] as number) - (mean[n] as number), at, at + size);
        at += size;
      }
    }
    return out;
  },
};
