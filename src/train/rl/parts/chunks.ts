import type { Rollout, RolloutContext, Scaffolded } from '../contract.js';
import type { Segment, Trajectory } from '../trajectory.js';
import { completionTrajectory } from './sampling.js';
import { joined } from './thinkingBudget.js';

/** Completions in chunks that see the problem and a short carry of what was written (Delethink, Aghajohari et al. 2025, arXiv:2510.06557). */

/** Sizes in tokens. */
export interface ChunkSizes {
  /** of a chunk with its carry */
  readonly chunk: number;
  /** carried from chunk to chunk: the first `head` tokens of the completion and its last carry - head */
  readonly carry: number;
  readonly head: number;
}

/** `turns` chunks write chunk + (turns - 1) (chunk - carry) tokens: the largest chunk for which these are within `most`. */
export function chunkSizes(most: number, turns: number, carryShare: number, headShare: number): ChunkSizes {
  const chunk = Math.max(1, Math.floor(most / (1 + (turns - 1) * (1 - carryShare)) + 1e-9));
  const carry = Math.min(chunk - 1, Math.floor(chunk * carryShare));
  return { chunk, carry, head: Math.min(carry, Math.floor(chunk * headShare)) };
}

interface Trace {
  readonly at: Scaffolded;
  /** the chunks so far */
  readonly made: Trajectory | undefined;
  /** what the next chunk sees behind the problem */
  readonly carried: Int32Array;
}

/** What is left of a carry and the tokens written behind it. */
function nextCarry(seen: Int32Array, { carry, head }: ChunkSizes): Int32Array {
  if (seen.length <= carry) return seen;
  return joined(seen.subarray(0, head), seen.subarray(seen.length - (carry - head)));
}

async function writeChunk(
  traces: readonly Trace[],
  turn: number,
  n: number,
  sizes: ChunkSizes,
  { policy }: RolloutContext,
): Promise<Trace[]> {
  const context = ({ at, carried }: Trace): Int32Array => joined(at.context, carried);
  const requests = traces.map((t, i) => ({ context: context(t), n, id: turn === 0 ? (t.at.prompt.place ?? i) : i }));
  const options = { max_tokens: turn === 0 ? sizes.chunk : sizes.chunk - sizes.carry, purpose: turn === 0 ? '' : `chunk ${turn}` };
  const drawn = await policy.generate(requests, options);
  return traces.flatMap((trace, i) =>
    (drawn[i] ?? []).map((c): Trace => {
      const { at, made, carried } = trace;
      const replay = at.replay_context ? { replay_context: joined(at.replay_context, carried) } : {};
      const own = completionTrajectory({ ...at, ...replay, context: context(trace), prefix: made ? '' : (at.prefix ?? '') }, c);
      const before = made?.segments ?? [];
      const segments = [...before, ...own.segments.map((s): Segment => ({ ...s, parent: before.length - 1 }))];
      return { at, made: { ...own, segments, text: (made?.text ?? '') + own.text }, carried: nextCarry(joined(carried, c.tokens), sizes) };
    }),
  );
}

/** At most max_chunks chunks a completion, max_completion_length tokens in all; memory for one chunk is enough. Each chunk is a segment. */
export const chunkedRollout: Rollout = {
  name: 'chunks',
  decodes: true,
  defaults: { max_chunks: 5, carry_share: 0.5, head_share: 0.0122, mask_truncated_completions: false },
  sample: async (prompts, context) => {
    const { number, num_generations, settings, metric } = context;
    const turns = Math.max(1, Math.floor(number('max_chunks')));
    const sizes = chunkSizes(number('max_completion_length'), turns, number('carry_share'), number('head_share'));
    let traces: Trace[] = prompts.map((at) => ({ at, made: undefined, carried: new Int32Array(0) }));
    for (let turn = 0; turn < turns; turn++) {
      const open = traces.filter((t) => t.made?.finish_reason !== 'stop');
      if (open.length === 0) break;
      const grown = await writeChunk(open, turn, turn === 0 ? num_generations : 1, sizes, context);
      const byTrace = new Map(open.map((t, i) => [t, grown[i]]));
      traces = turn === 0 ? grown : traces.map((t) => byTrace.get(t) ?? t);
    }
    const done = traces.flatMap(({ made }) => made ?? []);
    metric('chunks', done.reduce((sum, t) => sum + t.segments.length, 0) / Math.max(1, done.length));
    if (settings.mask_truncated_completions !== true) return done;
    return done.map((t) => ({ ...t, trains: t.finish_reason === 'stop' }));
  },
};
