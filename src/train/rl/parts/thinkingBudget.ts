import { answerMarker } from '../../../data/tasks/answer.js';
import type { Completion } from '../../../infer/index.js';
import type { Rollout, RolloutContext, Scaffolded } from '../contract.js';
import type { Trajectory } from '../trajectory.js';
import { completionTrajectory } from './sampling.js';

/** Completions whose thinking and whose solution have budgets of their own (Xu et al. 2025, arXiv:2505.05315). */

/** Token ids one after the other. */
export const joined = (...parts: readonly ArrayLike<number>[]): Int32Array => Int32Array.from(parts.flatMap((p) => Array.from(p)));

interface Thought {
  readonly at: Scaffolded;
  readonly completion: Completion;
  /** the border, where thinking did not come to it within its budget */
  readonly forced: Int32Array;
  /** whether a solution follows: thinking did not end the completion */
  readonly open: boolean;
}

/** A thought, its border and its solution as one segment. Nothing trains at a border that was forced. */
function elasticTrajectory(
  { at, completion, forced }: Thought,
  solution: Completion | undefined,
  border: string,
  mask: boolean,
): Trajectory {
  const none = new Float32Array(forced.length);
  const column = (name: 'logps' | 'sampling_logps' | 'entropies'): Float32Array =>
    Float32Array.from([...completion[name], ...none, ...(solution?.[name] ?? [])]);
  const whole = solution
    ? {
        ...completion,
        tokens: joined(completion.tokens, forced, solution.tokens),
        text: completion.text + border + solution.text,
        finish_reason: solution.finish_reason,
        logps: column('logps'),
        sampling_logps: column('sampling_logps'),
        entropies: column('entropies'),
      }
    : completion;
  const made = completionTrajectory(at, whole, { trains: !(mask && whole.finish_reason === 'length'), more: { cut: forced.length > 0 } });
  const [from, to] = [completion.tokens.length, completion.tokens.length + forced.length];
  const segments = made.segments.map((s) => ({ ...s, actions: s.actions.map((a, j) => (j >= from && j < to ? 0 : a)) }));
  return { ...made, segments };
}

async function solutionsOf(
  thoughts: readonly Thought[],
  max_tokens: number,
  purpose: string,
  { policy }: RolloutContext,
): Promise<Map<Thought, Completion>> {
  const requests = thoughts.map(({ at, completion, forced }, id) => ({ context: joined(at.context, completion.tokens, forced), id }));
  const drawn = requests.length > 0 ? await policy.generate(requests, { max_tokens, purpose }) : [];
  return new Map(thoughts.flatMap((t, i) => (drawn[i] ?? []).map((c): [Thought, Completion] => [t, c])));
}

/**
 * Thinking ends at the border `answer_marker`, or is cut after thinking_share L tokens (L = max_completion_length) and the border is written in the policy's
 * place; then the solution has solution_share L tokens, a forced border included.
 */
export const elasticRollout: Rollout = {
  name: 'elastic',
  decodes: true,
  defaults: { thinking_share: 0.5, solution_share: 0.5, answer_marker: answerMarker, mask_truncated_completions: false },
  sample: async (prompts, context) => {
    const { policy, tokenizer, settings, eos, number, num_generations: n } = context;
    const border = String(settings.answer_marker);
    const [thinking, solution] = (['thinking_share', 'solution_share'] as const).map((name) =>
      Math.max(1, Math.floor(number(name) * number('max_completion_length'))),
    ) as [number, number];
    const requests = prompts.map(({ prompt, context: own }, i) => ({ context: own, n, id: prompt.place ?? i }));
    const drawn = await policy.generate(requests, { max_tokens: thinking, stop: [border] });
    const thoughts = prompts.flatMap((at, i) =>
      (drawn[i] ?? []).map((completion): Thought => {
        const cut = completion.finish_reason === 'length';
        const forced = cut ? tokenizer.encode(border) : new Int32Array(0);
        return { at, completion, forced, open: cut || !eos.has(completion.tokens.at(-1) as number) };
      }),
    );
    const cut = thoughts.filter((t) => t.forced.length > 0);
    const came = thoughts.filter((t) => t.open && t.forced.length === 0);
    const solutions = new Map([
      ...(await solutionsOf(came, solution, 'solution', context)),
      ...(await solutionsOf(cut, Math.max(1, solution - tokenizer.encode(border).length), 'solution of a cut thought', context)),
    ]);
    context.metric('thinking/cut', cut.length / Math.max(1, thoughts.length));
    return thoughts.map((t) => elasticTrajectory(t, solutions.get(t), border, settings.mask_truncated_completions === true));
  },
};
