import { datasetFromRows } from '../../src/data/dataset/memory.js';
import { type ExampleSet, encodeExamples, exampleSource } from '../../src/data/examples/index.js';
import { taskTokenizer } from '../../src/data/tasks/index.js';
import { estimate, pairedDifference, verdict } from '../../src/evaluate/statistics.js';
import { loadBase } from '../../src/lab/bases/index.js';
import { compare } from '../../src/lab/compare.js';
import { evaluatePolicy } from '../../src/lab/testbeds/rl/evaluate.js';
import { pairProblems } from '../../src/lab/testbeds/rl/judging.js';
import { constant } from '../../src/optim/schedule/constant.js';
import { adamw } from '../../src/optim/transform/adamw.js';
import { foldIn, randomKey } from '../../src/tensor/random/threefry.js';
import { bradleyTerry } from '../../src/train/reward/bradleyTerry.js';
import { patchReward, RewardScorer, reward } from '../../src/train/reward.js';
import { judging } from './judge.js';
import { progress, runIfMain, runsOf, type Study, withInterval } from './study.js';

// Guo et al. 2025, arXiv:2505.14674 (catalogue S20): a judge that thinks before its verdict beats a scalar reward model and a judge that says it at once,
// trained on the same pairs.

const name = 'reasoningJudges';
const seeds = 5;
const context = 32;
const batch_size = 32;
const rates = [2e-4, 1e-3] as const;

const encoded = (split: 'train' | 'test'): Promise<ExampleSet> =>
  encodeExamples(
    datasetFromRows(
      pairProblems(split).rows.map(({ question, chosen, rejected }) => ({
        prompt: `${question}=`,
        chosen: `#${chosen}`,
        rejected: `#${rejected}`,
      })),
    ),
    taskTokenizer(),
    { kind: 'preference', max_length: context },
  );

/** Share of test pairs whose right answer gets the higher reward from a Bradley-Terry model that has seen about `tokens` tokens of the training pairs. */
async function scalarAccuracy(
  tokens: number,
  learning_rate: number,
  seed: number,
): Promise<{ readonly accuracy: number; readonly tokens: number }> {
  const { model, params: start } = await loadBase(judging.base);
  const train = await encoded('train');
  const data = exampleSource(train, { batch_size, context, key: foldIn(randomKey(seed), 3) });
  const chosen = [{ method: bradleyTerry, settings: bradleyTerry.defaults }];
  const tokensAStep = 2 * batch_size * context;
  const { params, own, ledger } = await reward({
    model,
    start,
    data,
    seed,
    threads: 1,
    args: { max_steps: Math.max(1, Math.round(tokens / tokensAStep)), max_grad_norm: 1 },
    recipe: {
      optimizer: { method: adamw, settings: { ...adamw.defaults, weight_decay: 0, learning_rate } },
      schedule: { method: constant, settings: {} },
      rewards: chosen,
    },
  });
  const scorer = new RewardScorer(model, patchReward(chosen), { params, own }, { threads: 1 });
  try {
    const scores = await scorer.score(await encoded('test'), { batch_size, context });
    return { accuracy: scores.filter(([a, b]) => (a as number) > (b as number)).length / scores.length, tokens: ledger.tokens_trained };
  } finally {
    scorer.dispose();
  }
}

/** Does a judge that thinks beat one that does not, and a scalar reward model? */
export async function reasoningJudges(): Promise<Study> {
  const { margin } = judging;
  const summary = await compare(
    { methods: ['grpo', 'rrm'], testbed: judging.id, seeds, out: runsOf(name), parallel: 1, threads: 1 },
    progress,
  );
  const [direct, thinks] = summary.rows as [(typeof summary.rows)[number], (typeof summary.rows)[number]];
  const start = await loadBase(judging.base);
  const before = await evaluatePolicy(start, judging.data().evaluation, { threads: 1 });
  const tokens = thinks.ledger.tokens_trained;
  const scalar = [];
  for (const learning_rate of rates) {
    const runs = [];
    for (let seed = 0; seed < seeds; seed++) {
      runs.push(await scalarAccuracy(tokens, learning_rate, seed));
      console.error(`${new Date().toISOString()} bradley-terry ${learning_rate} seed ${seed}`);
    }
    scalar.push({ learning_rate, values: runs.map(({ accuracy }) => accuracy), tokens: runs[0]?.tokens ?? 0 });
  }
  // the better rate on the test pairs: if anything this favours the scalar model
  const best = scalar.reduce((a, b) => (estimate(b.values).mean > estimate(a.values).mean ? b : a));
  const judged = thinks.values.map((v) => v ?? 0);
  const overScalar = pairedDifference(best.values, judged);
  const overDirect = thinks.difference;
  if (!overDirect) throw new Error('a side diverged in all runs');
  const verdicts = [verdict(overScalar, { margin, better: 'higher' }), thinks.verdict];
  const row = (judge: string, values: readonly (number | null)[], trained: number, generated: number) => {
    const { mean, low, high } = estimate(values.filter((v) => v !== null));
    return { judge, accuracy: withInterval({ value: mean, low, high }), 'tokens trained': trained, 'tokens generated': generated };
  };
  return {
    name,
    seed: 'S20',
    paper: 'arXiv:2505.14674',
    question: 'Does a judge that thinks before its verdict beat one that says it at once, and a scalar reward model?',
    verdict: verdicts.every((v) => v === 'gain')
      ? 'yes'
      : verdicts.includes('gain')
        ? 'in part'
        : verdicts.includes('loss')
          ? 'no'
          : 'open',
    answer:
      `Over the judge that answers at once (equal generated tokens): ${withInterval({ ...overDirect, value: overDirect.mean })}, ${thinks.verdict}; ` +
      `over the Bradley-Terry model (equal trained tokens): ${withInterval({ ...overScalar, value: overScalar.mean })}, ${verdicts[0]}.`,
    settings: {
      testbed: judging.id,
      budget: judging.args,
      scalar: { batch_size, context, rates, chosen_rate: best.learning_rate, data: 'question, answer: the same 500 pairs' },
      before: `the base answers at once; pass@1 ${before['pass@1']?.toFixed(3)}`,
    },
    seeds: summary.seeds,
    table: [
      row('at once (grpo)', direct.values, direct.ledger.tokens_trained, direct.ledger.tokens_generated ?? 0),
      row('thinks (rrm)', thinks.values, thinks.ledger.tokens_trained, thinks.ledger.tokens_generated ?? 0),
      ...scalar.map((s) => row(`Bradley-Terry, rate ${s.learning_rate}`, s.values, s.tokens, 0)),
    ],
    details: { direct: direct.values, thinks: thinks.values, scalar, overDirect, overScalar },
  };
}

await runIfMain(import.meta.url, reasoningJudges);
