import { VitroError } from '../../../tensor/errors.js';
import type { Tensor } from '../../../tensor/graph.js';
import { add, clip, exp, log, mul, sub } from '../../../tensor/ops/elementwise.js';
import type { Auxiliary, HostContext, Part, PromptDataset, Prompts } from '../contract.js';
import { probe, someRows, subset } from './probe.js';

/** Rehearsal of what the start policy could do already, by an f-divergence from it (Li et al. 2025, arXiv:2509.07430, DPH-RL). */

interface Drawn {
  readonly context: number[];
  readonly tokens: number[];
  /** log-probabilities under the start policy */
  readonly logps: number[];
}

interface Rehearsal {
  drawn: boolean;
  sequences: Drawn[];
}

/** What the start policy got right; kept in the slot `prompts`, read by the auxiliary loss. */
const rehearsal: Part<Rehearsal> = { name: 'rehearsal', init: () => ({ drawn: false, sequences: [] }) };
const stateOf = (context: HostContext): Rehearsal => context.of(rehearsal, 'prompts').state;

/** Draws from the start policy, keeps a right completion of each problem that it nearly always solves, and marks these in the task table. */
async function presample(dataset: PromptDataset, context: HostContext): Promise<void> {
  const state = stateOf(context);
  const perfect = context.tasks.column('perfect');
  const prompts = someRows(dataset, context.number('presample_problems'), context).map((row) => dataset.prompt(row));
  const n = context.number('presample_generations');
  const solved = (await probe(prompts, n, context)).map((own) => own.filter((s) => s.reward >= context.number('success_reward')));
  const kept = solved.flatMap((own, i) => {
    const [first] = own;
    if (!first || own.length < context.number('perfect_rate') * n) return [];
    perfect[prompts[i]?.id ?? 0] = 1;
    return first.segments.slice(0, 1);
  });
  const logps = await context.policy.logps(kept);
  state.sequences = kept.map(({ context: before, tokens }, i) => ({
    context: [...before],
    tokens: [...tokens],
    logps: [...(logps[i] ?? [])],
  }));
  state.drawn = true;
  if (kept.length === 0)
    context.note(
      `None of ${prompts.length} problems was solved in ${context.number('perfect_rate') * 100}% of ${n} completions before training; there is nothing to rehearse.`,
    );
}

/**
 * Before the first step, presample_generations completions of presample_problems problems (0 = all) from the start policy. Problems that it solves in at
 * least perfect_rate of them are rehearsed and no longer trained on.
 */
export const withPresampling = (inner: Prompts): Prompts => ({
  ...inner,
  name: `presampled ${inner.name}`,
  defaults: { ...inner.defaults, presample_problems: 64, presample_generations: 4, perfect_rate: 0.75, success_reward: 1 },
  next: async (count, dataset, context) => {
    if (!stateOf(context).drawn) await presample(dataset, context);
    const perfect = context.tasks.column('perfect');
    const open = Array.from({ length: dataset.length }, (_, i) => i).filter((i) => perfect[dataset.prompt(i).id] !== 1);
    return inner.next(count, open.length === 0 ? dataset : subset(dataset, open), context.of(inner));
  },
  observe: (batch, context) => inner.observe?.(batch, context.of(inner)),
});

/** Generators f of divergences D = E_start[f(u)], u = pi / start, as functions of log u; f(1) = 0, never negative. */
export const generators: Readonly<Record<string, (logU: Tensor) => Tensor>> = {
  // KL(start | pi): u - 1 - log u
  forward: (logU) => sub(sub(exp(logU), 1), logU),
  // 2 JS(start, pi): u log u - (u + 1) log((u + 1) / 2)
  js: (logU) => {
    const u = exp(logU);
    return sub(mul(u, logU), mul(add(u, 1), log(mul(0.5, add(u, 1)))));
  },
};

/** divergence_coef f(pi / start), a mean over the tokens of rehearsal_batch completions of the start policy; they take turns. */
export const divergenceFromStart: Auxiliary = {
  name: 'divergence-from-start',
  defaults: { divergence: 'js', divergence_coef: 0.2, rehearsal_batch: 16 },
  sequences: (_, context) => {
    const { sequences } = stateOf(context);
    const n = Math.min(context.number('rehearsal_batch'), sequences.length);
    const own = Array.from({ length: n }, (__, i) => sequences[(context.step * n + i) % sequences.length] as Drawn);
    const total = own.reduce((sum, { tokens }) => sum + tokens.length, 0);
    return own.map(({ context: before, tokens, logps }) => ({
      context: Int32Array.from(before),
      tokens: Int32Array.from(tokens),
      weights: new Float64Array(tokens.length).fill(1 / total),
      columns: { start_logp: logps },
    }));
  },
  loss: ({ policy, column, knob, settings }) => {
    const f = generators[String(settings.divergence)];
    if (!f) throw new VitroError(`divergence must be one of ${Object.keys(generators).join(', ')}, got ${settings.divergence}`);
    return { loss: mul(knob('divergence_coef'), f(clip(sub(policy.logp, column('start_logp')), -20, 20))) };
  },
};
