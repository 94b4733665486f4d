import { type GenerativeJudge, generativeJudge } from '../../src/evaluate/generativeJudge.js';
import { judgingForm } from '../../src/lab/bases/judging.js';
import { recipeFor } from '../../src/lab/runs.js';
import type { EvaluatedPolicy } from '../../src/lab/testbeds/rl/evaluate.js';
import { rlTestbed, trainOn } from '../../src/lab/testbeds/rl/testbed.js';
import { aboutOf } from './study.js';

/** What the studies of judges share. */

export const judging = aboutOf('pairwise-judging');

/** A policy trained to judge pairs, with what it learnt from: the run that `compare` does of the same method and seed. */
export async function trainedJudge(method: string, seed: number): Promise<EvaluatedPolicy> {
  const { policy } = await trainOn(judging, judging.data().train, recipeFor(rlTestbed(judging), method), { seed, threads: 1 });
  return policy;
}

/** The policy as a judge that thinks. */
export const judgeOf = ({ model, params, tokenizer }: EvaluatedPolicy, seed: number): GenerativeJudge =>
  generativeJudge({ model, params, tokenizer, form: judgingForm, max_completion_length: 48, seed, threads: 1 });
