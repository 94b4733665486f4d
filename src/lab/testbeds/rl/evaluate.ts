import type { Settings } from '../../../contracts/index.js';
import { type ItemSamples, samplingScores } from '../../../evaluate/sampling.js';
import { generate } from '../../../infer/index.js';
import type { CausalModel, SerializableTokenizer } from '../../../models/index.js';
import type { ParamTree } from '../../../nn/param.js';
import type { NDArray } from '../../../tensor/array.js';
import { type PromptRow, type RlRecipe, rolloutSamples, tokenCount } from '../../../train/rl/index.js';
import { rlRecipe } from '../../composition.js';
import type { Problems } from './problems.js';

/** One sampled completion of a problem of an evaluation set. */
export interface EvaluatedCompletion {
  readonly row: PromptRow;
  readonly text: string;
  /** tokens that were written, the end included */
  readonly length: number;
  readonly score: number;
}

/** A further number from all completions of an evaluation set. */
export type ExtraMetric = (completions: readonly EvaluatedCompletion[]) => number;

export interface EvaluationSet {
  /** metrics begin with `name/`; empty for the main set */
  readonly name: string;
  readonly problems: Problems;
  /** samples of each problem at temperature 1 */
  readonly samples: number;
  readonly max_completion_length: number;
  readonly metrics?: Readonly<Record<string, ExtraMetric>>;
  /** A composition with settings, whose rollout all policies decode with. Default: the rollout of the recipe that trained, where it `decodes`, else plain sampling. */
  readonly decode?: { readonly spec: string; readonly settings?: Settings };
}

const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / Math.max(1, values.length);

const groupsOf = <T>({ samples }: EvaluationSet, completions: readonly T[]): readonly T[][] =>
  Array.from({ length: completions.length / samples }, (_, g) => completions.slice(g * samples, (g + 1) * samples));

/** Completions, `samples` in a row for each problem, as the statistics of samples read them. */
export const itemSamples = (set: EvaluationSet, completions: readonly EvaluatedCompletion[]): ItemSamples[] =>
  groupsOf(set, completions).map((group) =>
    group.map(({ text, row, score }) => ({
      answer: set.problems.answer(text, row),
      correct: score >= 1,
      ...(set.problems.chain ? { chainCorrect: set.problems.chain(text, row) } : {}),
    })),
  );

/**
 * Metrics of completions, `samples` in a row for each problem: pass@k, maj@n, cot_pass@1 where chains are judged, `distinct@n` (different right answers a problem), `length` (tokens), and
 * `concise`: right answers weighted by 1 - length / max_completion_length.
 */
export function completionMetrics(set: EvaluationSet, completions: readonly EvaluatedCompletion[]): Record<string, number> {
  const { problems, samples, max_completion_length, metrics = {} } = set;
  const groups = groupsOf(set, completions);
  const items = itemSamples(set, completions);
  const ks = [1, 4, 16].filter((k) => k <= samples);
  const scores = Object.fromEntries(Object.entries(samplingScores(items, ks)).map(([name, values]) => [name, mean(values)]));
  const { [`avg@${samples}`]: _, ...own } = scores;
  const distinct = groups.map((group) => new Set(group.filter((c) => c.score >= 1).map((c) => problems.answer(c.text, c.row))).size);
  return {
    ...own,
    [`distinct@${samples}`]: mean(distinct),
    length: mean(completions.map((c) => c.length)),
    concise: mean(completions.map((c) => (c.score >= 1 ? 1 - Math.min(1, c.length / max_completion_length) : 0))),
    ...Object.fromEntries(Object.entries(metrics).map(([name, of]) => [name, of(completions)])),
  };
}

/** A policy to be measured. */
export interface EvaluatedPolicy {
  readonly model: CausalModel;
  readonly params: ParamTree<NDArray>;
  readonly tokenizer: SerializableTokenizer;
  /** what it was trained with */
  readonly recipe?: RlRecipe;
}

export interface EvaluationHooks {
  readonly threads?: number;
  readonly signal?: AbortSignal;
}

type Text = Pick<EvaluatedCompletion, 'row' | 'text' | 'length'>;

async function plainTexts({ model, params, tokenizer }: EvaluatedPolicy, set: EvaluationSet, hooks: EvaluationHooks): Promise<Text[]> {
  const { rows } = set.problems;
  const completions = await generate({
    model,
    params,
    tokenizer,
    prompts: rows.map((row) => tokenizer.encode(row.prompt)),
    n: set.samples,
    max_completion_length: set.max_completion_length,
    stop_token_ids: tokenizer.eos_token_id === null ? [] : [tokenizer.eos_token_id],
    seed: 4242,
    ...hooks,
  });
  return completions.map(({ prompt, text, tokens }) => ({ row: rows[prompt] as PromptRow, text, length: tokens.length }));
}

async function rolloutTexts(policy: EvaluatedPolicy, recipe: RlRecipe, set: EvaluationSet, hooks: EvaluationHooks): Promise<Text[]> {
  const { rows } = set.problems;
  const { max_completion_length, samples } = set;
  const drawn = await rolloutSamples({
    ...policy,
    recipe,
    settings: { max_completion_length, temperature: 1, top_k: 0, top_p: 1, min_p: 0 },
    rows,
    samples,
    seed: 4242,
    ...hooks,
  });
  return drawn.flatMap((own, i) => own.map((t) => ({ row: rows[i] as PromptRow, text: t.text, length: tokenCount(t) })));
}

/** Samples a policy on an evaluation set, always with the same random numbers, at temperature 1: `samples` completions in a row for each problem. */
export async function judgedCompletions(
  policy: EvaluatedPolicy,
  set: EvaluationSet,
  hooks: EvaluationHooks = {},
): Promise<EvaluatedCompletion[]> {
  const { recipe } = policy;
  const own = recipe?.slots.rollout.decodes ? recipe : undefined;
  const decoder = set.decode ? rlRecipe(set.decode.spec, set.decode.settings) : own;
  const texts = decoder ? await rolloutTexts(policy, decoder, set, hooks) : await plainTexts(policy, set, hooks);
  return texts.map((t): EvaluatedCompletion => ({ ...t, score: set.problems.judge(t.text, t.row) }));
}

/** Metrics of a policy on evaluation sets. */
export async function evaluatePolicy(
  policy: EvaluatedPolicy,
  sets: readonly EvaluationSet[],
  hooks: EvaluationHooks = {},
): Promise<Record<string, number>> {
  const out: Record<string, number> = {};
  for (const set of sets) {
    const judged = await judgedCompletions(policy, set, hooks);
    for (const [name, value] of Object.entries(completionMetrics(set, judged))) out[set.name ? `${set.name}/${name}` : name] = value;
  }
  return out;
}
