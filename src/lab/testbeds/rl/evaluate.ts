import { type ItemSamples, samplingScores } from '../../../evaluate/sampling.js';
import { generate } from '../../../infer/index.js';
import type { CausalModel, SerializableTokenizer } from '../../../models/index.js';
import type { ParamTree } from '../../../nn/param.js';
import type { NDArray } from '../../../tensor/array.js';
import type { PromptRow } from '../../../train/rl/index.js';
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
}

const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / Math.max(1, values.length);

/**
 * Metrics of completions, `samples` in a row for each problem: pass@k, maj@n, cot_pass@1 where chains are judged, `distinct@n` (different right answers a problem), `length` (tokens), and
 * `concise`: right answers weighted by 1 - length / max_completion_length.
 */
export function completionMetrics(set: EvaluationSet, completions: readonly EvaluatedCompletion[]): Record<string, number> {
  const { problems, samples, max_completion_length, metrics = {} } = set;
  const groups = Array.from({ length: completions.length / samples }, (_, g) => completions.slice(g * samples, (g + 1) * samples));
  const items = groups.map(
    (group): ItemSamples =>
      group.map(({ text, row, score }) => ({
        answer: problems.answer(text, row),
        correct: score >= 1,
        ...(problems.chain ? { chainCorrect: problems.chain(text, row) } : {}),
      })),
  );
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

/** Samples a policy on evaluation sets, always with the same random numbers. */
export async function evaluatePolicy(
  policy: { readonly model: CausalModel; readonly params: ParamTree<NDArray>; readonly tokenizer: SerializableTokenizer },
  sets: readonly EvaluationSet[],
  { threads, signal }: { readonly threads?: number; readonly signal?: AbortSignal } = {},
): Promise<Record<string, number>> {
  const { model, params, tokenizer } = policy;
  const out: Record<string, number> = {};
  for (const set of sets) {
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
      ...(threads ? { threads } : {}),
      ...(signal ? { signal } : {}),
    });
    const judged = completions.map(({ prompt, text, tokens }): EvaluatedCompletion => {
      const row = rows[prompt] as PromptRow;
      return { row, text, length: tokens.length, score: set.problems.judge(text, row) };
    });
    for (const [name, value] of Object.entries(completionMetrics(set, judged))) out[set.name ? `${set.name}/${name}` : name] = value;
  }
  return out;
}
