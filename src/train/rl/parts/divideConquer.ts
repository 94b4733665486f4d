import { answerMarker, stepSeparator } from '../../../data/tasks/answer.js';
import type { Grouping, Reward, Rollout, RolloutContext, Scaffolded } from '../contract.js';
import type { Sample, ScoredSample, Segment, Trajectory } from '../trajectory.js';
import { isRight } from './length.js';
import { completionTrajectory } from './sampling.js';
import { joined } from './thinkingBudget.js';

/**
 * Division into subproblems, and solutions behind them, by one policy (Liang et al. 2026, arXiv:2602.02477).
 *   divide:  `problem|` -> `subproblem;subproblem;...`      conquer: `problem|subproblem;subproblem;...|` -> `step;step;...#answer`
 */

/** A division as it was drawn: shared by the trajectories that solve the problem behind it. */
interface Division {
  readonly at: Scaffolded;
  readonly segment: Segment;
  readonly text: string;
  /** number of subproblems; 0 where the form is wrong */
  readonly subproblems: number;
}

/** Subproblems of a division; 0 where one of them is empty or has an answer, or where the division did not end. */
function subproblemsOf(text: string, ended: boolean): number {
  const parts = text.split(stepSeparator).map((p) => p.trim());
  return ended && !text.includes(answerMarker) && parts.every((p) => p !== '') ? parts.length : 0;
}

async function divide(
  prompts: readonly Scaffolded[],
  n: number,
  max_tokens: number,
  mark: Int32Array,
  { policy }: RolloutContext,
): Promise<Division[]> {
  const contexts = prompts.map((p) => joined(p.context, mark));
  const drawn = await policy.generate(
    prompts.map(({ prompt }, i) => ({ context: contexts[i] as Int32Array, n, id: prompt.place ?? i })),
    { max_tokens, purpose: 'divide' },
  );
  return prompts.flatMap((at, i) =>
    (drawn[i] ?? []).flatMap((c) => {
      const { segments, text } = completionTrajectory({ prompt: at.prompt, context: contexts[i] as Int32Array }, c);
      const subproblems = subproblemsOf(text, c.finish_reason === 'stop');
      return segments.map((s): Division => ({ at, segment: { ...s, role: 'divide' }, text, subproblems }));
    }),
  );
}

/**
 * `divisions` divisions of each problem, and num_generations / divisions solutions behind each, num_generations in all. divide_share of max_completion_length is
 * for the division, the rest for the solution.
 */
export const divideRollout: Rollout = {
  name: 'divide and conquer',
  decodes: true,
  defaults: { divisions: 4, divide_share: 0.4, divide_mark: '|', mask_truncated_completions: false },
  sample: async (prompts, context) => {
    const { number, num_generations, settings, tokenizer, policy } = context;
    const mark = tokenizer.encode(String(settings.divide_mark));
    const most = number('max_completion_length');
    const forDivision = Math.max(1, Math.floor(number('divide_share') * most));
    const divisions = Math.max(1, Math.min(num_generations, Math.floor(number('divisions'))));
    const own = await divide(prompts, divisions, forDivision, mark, context);
    const contexts = own.map(({ at, text }) => joined(at.context, mark, tokenizer.encode(text), mark));
    const n = Math.max(1, Math.floor(num_generations / divisions));
    const solved = await policy.generate(
      contexts.map((c, id) => ({ context: c, n, id })),
      { max_tokens: Math.max(1, most - forDivision), purpose: 'conquer' },
    );
    return own.flatMap(({ at, segment, subproblems }, i) =>
      (solved[i] ?? []).map((c): Trajectory => {
        const trains = !(settings.mask_truncated_completions === true && c.finish_reason === 'length');
        const made = completionTrajectory(
          { prompt: at.prompt, context: contexts[i] as Int32Array, ...(at.notes ? { notes: at.notes } : {}) },
          c,
          { trains, more: { subproblems } },
        );
        return { ...made, segments: [segment, ...made.segments.map((s): Segment => ({ ...s, role: 'conquer', parent: 0 }))] };
      }),
    );
  },
};

/** Divisions of a problem are compared with each other, and so are the solutions behind one division. */
export const byRole: Grouping = {
  name: 'by role',
  samples: (trajectories, { step }) => {
    const numbers = new Map<Segment, number>();
    const divided: Sample[] = [];
    const conquered = trajectories.map((trajectory): Sample => {
      const group = `${step}:${trajectory.prompt.place ?? 0}`;
      const [first, ...rest] = trajectory.segments;
      if (first?.role !== 'divide') return { trajectory, segments: trajectory.segments, group };
      if (!numbers.has(first)) {
        numbers.set(first, numbers.size);
        divided.push({ trajectory, segments: [first], group: `${group}:divide` });
      }
      return { trajectory, segments: rest, group: `${group}:conquer ${numbers.get(first)}` };
    });
    // solutions come last: what a trajectory earned is what its solution earned
    return [...divided, ...conquered];
  },
};

const isDivision = ({ segments }: Sample): boolean => segments[0]?.role === 'divide';

/**
 * Solutions earn what the recipe gives for answers. A division earns 1 where it has at least min_subproblems in the right form, and a solution behind it is
 * right or no solution of the problem is; otherwise 0.
 */
export const withDivisionReward = (inner: Reward): Reward => ({
  ...inner,
  name: `${inner.name}+divisions`,
  defaults: { ...inner.defaults, min_subproblems: 2 },
  score: async (samples, context) => {
    const answers = samples.filter((s) => !isDivision(s));
    const scored = await inner.score(answers, context.of(inner));
    const right = scored.filter(isRight).map((s) => s.trajectory);
    const solvedBehind = new Set(right.map((t) => t.segments[0]));
    const solved = new Set(right.map((t) => t.prompt.place));
    const found = new Map(answers.map((s, i) => [s, scored[i] as ScoredSample]));
    return samples.map((s): ScoredSample => {
      const answer = found.get(s);
      if (answer) return answer;
      const { notes, prompt, segments } = s.trajectory;
      const formed = Number(notes.subproblems ?? 0) >= context.number('min_subproblems');
      const reward = formed && (solvedBehind.has(segments[0]) || !solved.has(prompt.place)) ? 1 : 0;
      return { ...s, reward, rewards: { division: reward } };
    });
  },
});
