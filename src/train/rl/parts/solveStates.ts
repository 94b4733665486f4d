/**
 * A hidden Markov model of a problem's progress (Mao et al. 2026, arXiv:2603.10887): unsolved, partly solved, solved. A step shows the state of a problem
 * that was sampled; for others the prediction stands in. The transitions have a Dirichlet posterior that forgets. Legend: S = 3 states.
 */
export interface SolveStates {
  /** Dirichlet counts of transitions [S * S], entry to * S + from */
  counts: number[];
  /** state distribution after the last step [S] */
  last: number[];
  /** that of the coming step [S], before it is seen */
  next: number[];
}

const S = 3;
const at = (x: readonly number[], i: number): number => x[i] as number;

export const newSolveStates = (prior: number): SolveStates => ({
  counts: new Array(S * S).fill(prior),
  last: new Array(S).fill(1 / S),
  next: new Array(S).fill(1 / S),
});

/** Expected transition probabilities [S * S]: counts over their sum for each state that is left. */
export function expectedTransitions(counts: readonly number[]): number[] {
  return counts.map((c, i) => {
    const from = i % S;
    return c / (at(counts, from) + at(counts, S + from) + at(counts, 2 * S + from));
  });
}

/** The state that a share of successes shows. */
export const stateOf = (rate: number): number => (rate === 0 ? 0 : rate === 1 ? 2 : 1);

/**
 * One step of the filter. With a seen state: counts <- decay counts + (1 - decay) prior + xi, xi(to, from) ~ seen(to) P(to, from) last(from), normalised;
 * without: counts only decay and the prediction becomes the state. In both cases next = P last.
 */
export function filterStep(
  model: SolveStates,
  seen: number | undefined,
  { prior, decay }: { readonly prior: number; readonly decay: number },
): void {
  const state = seen === undefined ? model.next : model.next.map((_, s) => (s === seen ? 1 : 0));
  const before = expectedTransitions(model.counts);
  const joint = before.map((p, i) => (seen === undefined ? 0 : at(state, Math.floor(i / S)) * p * at(model.last, i % S)));
  const total = joint.reduce((a, b) => a + b, 0);
  model.counts = model.counts.map((c, i) => decay * c + (1 - decay) * prior + (total > 0 ? at(joint, i) / total : 0));
  const after = expectedTransitions(model.counts);
  model.last = state;
  model.next = state.map((_, to) => state.reduce((sum, p, from) => sum + at(after, to * S + from) * p, 0));
}
