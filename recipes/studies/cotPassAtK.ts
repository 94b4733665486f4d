import { samplingScores } from '../../src/evaluate/sampling.js';
import { estimate, holm, pairedDifference } from '../../src/evaluate/statistics.js';
import { loadBase } from '../../src/lab/bases/index.js';
import { recipeFor } from '../../src/lab/runs.js';
import { type EvaluatedPolicy, itemSamples, judgedCompletions } from '../../src/lab/testbeds/rl/evaluate.js';
import { rlTestbed, trainOn } from '../../src/lab/testbeds/rl/testbed.js';
import { aboutOf, runIfMain, type Study, withInterval } from './study.js';

// Wen et al. 2025, arXiv:2506.14245 (catalogue P298): after RLVR pass@K may stand still or fall at large K, but CoT-pass@K, which counts a sample only where
// chain and answer are right, rises at every K.

const name = 'cotPassAtK';
const seeds = 5;
const samples = 64;
const ks = [1, 2, 4, 8, 16, 32, 64] as const;

type Curves = Readonly<Record<string, readonly number[]>>;

const meanOf = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;

/** Does reinforcement learning raise CoT-pass@K at every K, and pass@K too? */
export async function cotPassAtK(): Promise<Study> {
  const about = aboutOf('countdown-s');
  const { train, evaluation } = about.data();
  const set = { ...(evaluation[0] as (typeof evaluation)[number]), samples };
  const curves = async (policy: EvaluatedPolicy): Promise<Curves> =>
    samplingScores(itemSamples(set, await judgedCompletions(policy, set, { threads: 1 })), ks);
  const before = await curves(await loadBase(about.base));
  const recipe = recipeFor(rlTestbed(about), 'grpo');
  const after: Curves[] = [];
  for (let seed = 0; seed < seeds; seed++) {
    const { policy } = await trainOn(about, train, recipe, { seed, threads: 1 });
    after.push(await curves(policy));
    console.error(`${new Date().toISOString()} seed ${seed}: pass@1 ${meanOf(after[seed]?.['pass@1'] as number[]).toFixed(3)}`);
  }
  const rows = ks.flatMap((k) =>
    (['pass', 'cot_pass'] as const).map((kind) => {
      const metric = `${kind}@${k}`;
      const start = meanOf(before[metric] as number[]);
      const own = after.map((curve) => meanOf(curve[metric] as number[]));
      const values = estimate(own);
      return {
        k,
        kind,
        metric,
        start,
        own,
        values,
        difference: pairedDifference(
          own.map(() => start),
          own,
        ),
      };
    }),
  );
  const corrected = holm(rows.map(({ difference }) => difference.p));
  const judged = rows.map((row, i) => ({
    ...row,
    p: corrected[i] as number,
    sign: (corrected[i] as number) < 0.05 ? Math.sign(row.difference.mean) : 0,
  }));
  const where = (kind: string, sign: number): string => {
    const found = judged.filter((row) => row.kind === kind && row.sign === sign).map(({ k }) => k);
    return found.length > 0 ? `K = ${found.join(', ')}` : 'no K';
  };
  const cot = judged.filter(({ kind }) => kind === 'cot_pass');
  return {
    name,
    seed: 'P298',
    paper: 'arXiv:2506.14245',
    question: 'Does reinforcement learning raise CoT-pass@K at every K, and pass@K too?',
    verdict: cot.every(({ sign }) => sign > 0)
      ? 'yes'
      : cot.some(({ sign }) => sign > 0)
        ? 'in part'
        : cot.some(({ sign }) => sign < 0)
          ? 'no'
          : 'open',
    answer:
      `CoT-pass@K rises at ${where('cot_pass', 1)} and falls at ${where('cot_pass', -1)}; pass@K rises at ${where('pass', 1)} and falls at ${where('pass', -1)} ` +
      '(changes of the mean over seeds with p < 0.05 after Holm).',
    settings: { testbed: about.id, method: 'grpo', recipe, items: set.problems.rows.length, samples, base: about.base.id },
    seeds: Array.from({ length: seeds }, (_, i) => i),
    table: judged.map(({ metric, start, values, difference, p }) => ({
      metric,
      before: start,
      after: withInterval({ value: values.mean, low: values.low, high: values.high }),
      change: withInterval({ value: difference.mean, low: difference.low, high: difference.high }),
      'p (Holm)': p,
    })),
    details: judged.map(({ metric, own }) => ({ metric, values: own })),
  };
}

await runIfMain(import.meta.url, cotPassAtK);
