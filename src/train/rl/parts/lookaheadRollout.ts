import { logSoftmax } from '../../../tensor/ops/activation.js';
import { cast } from '../../../tensor/ops/elementwise.js';
import { topK } from '../../../tensor/ops/order.js';
import { concat, slice } from '../../../tensor/ops/slicing.js';
import type { Measure, PolicyService, RolloutContext, Scaffolded } from '../contract.js';
import type { Trajectory } from '../trajectory.js';
import { type Branch, LookaheadTree, type Written } from './lookaheadTree.js';
import { joinedTrajectory, numberList, oneEach } from './partialRollouts.js';

/** Rollouts of LATR (arXiv:2510.24302): trees of likely branches first, then random completions from their leaves. */

/** The two most probable tokens before each token: token, log-probability, token, log-probability. */
export const twoBest: Measure = {
  name: 'two best',
  tensor: (policy) => {
    const { values, indices } = topK(logSoftmax(policy.logits()), 2);
    const columns = [cast(indices, 'f32'), values];
    return concat(
      [0, 1].flatMap((k) => columns.map((x) => slice(x, [[], [], [k, k + 1]]))),
      2,
    );
  },
};

interface Waiting {
  readonly branch: Branch;
  /** tokens before the branch */
  readonly context: Int32Array;
}

const tokensOf = ({ branch: { written }, context }: Waiting): Int32Array => Int32Array.from([...context, ...written.map((w) => w.token)]);

/** Continues branches by their most probable tokens, up to `count` each. */
async function extend(waiting: readonly Waiting[], count: number, policy: PolicyService): Promise<void> {
  const requests = waiting.map((w, id) => ({ context: tokensOf(w), id }));
  const made = await policy.generate(requests, { max_tokens: count, sampling: { temperature: 0 }, purpose: 'lookahead' });
  const sequences = requests.map(({ context }, i) => ({ context, tokens: made[i]?.[0]?.tokens ?? new Int32Array(0) }));
  const best = await policy.measure(sequences, twoBest);
  for (const [i, { tokens }] of sequences.entries())
    for (const [j, token] of tokens.entries()) {
      const [first, logp, second, lower] = [...(best[i] as Float64Array).subarray(4 * j, 4 * j + 4)] as [number, number, number, number];
      // generation and scoring may round apart where the two are equally probable
      const swapped = token === second;
      const rival = swapped ? { token: first, logp } : { token: second, logp: lower };
      waiting[i]?.branch.written.push({ token, logp: swapped ? lower : logp, entropy: made[i]?.[0]?.entropies[j] ?? 0, rival });
    }
}

/** Completions from the leaves of the trees of all problems, `capacity` each; where a tree has fewer leaves, independent ones. */
export async function sampleTrees(prompts: readonly Scaffolded[], capacity: number, context: RolloutContext): Promise<Trajectory[]> {
  const { policy, eos, number } = context;
  const windows = numberList(context, 'latr_windows');
  const most = number('max_completion_length');
  const shape = { capacity, windows, least: number('latr_least'), gap: number('latr_gap'), resemblance: number('latr_resemblance') };
  const trees = prompts.map((from) => ({ from, tree: new LookaheadTree({ ...shape, longest: Math.ceil(most / 2) }, eos) }));
  for (;;) {
    const waiting = trees.flatMap(({ from, tree }) => tree.advance().map((branch) => ({ branch, context: from.context })));
    if (waiting.length === 0) break;
    await extend(waiting, Math.max(...windows), policy);
  }
  const leaves = trees.flatMap(({ from, tree }) => tree.branches.map((b) => ({ from, written: b.written.slice(0, tree.length) })));
  context.metric('latr_leaves', leaves.length / Math.max(1, prompts.length));
  const open = leaves.filter(({ written }) => !eos.has(written.at(-1)?.token ?? -1));
  const rest = await policy.generate(
    open.map(({ from, written }, id) => ({ context: Int32Array.from([...from.context, ...written.map((w) => w.token)]), id })),
    { max_tokens: most - Math.min(most - 1, ...open.map(({ written }) => written.length)), purpose: 'leaves' },
  );
  const grown = leaves.map((leaf) => {
    const drawn = rest[open.indexOf(leaf)]?.[0];
    const joined = (of: (w: Written) => number, more: ArrayLike<number> = []): number[] =>
      [...leaf.written.map(of), ...Array.from(more)].slice(0, most);
    const tokens = joined((w) => w.token, drawn?.tokens);
    const logps = joined((w) => w.logp, drawn?.sampling_logps);
    return joinedTrajectory(leaf.from, { tokens, logps, entropies: joined((w) => w.entropy, drawn?.entropies) }, context);
  });
  const missing = trees.flatMap(({ from, tree }) => Array.from({ length: capacity - tree.branches.length }, () => from));
  return missing.length === 0 ? grown : [...grown, ...(await oneEach(missing, context, 'missing'))];
}
