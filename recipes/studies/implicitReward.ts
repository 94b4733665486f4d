import { type ExampleSet, exampleBatches, exampleSource } from '../../src/data/examples/index.js';
import { type PreferencePair, preferenceLexicon, type TaskEntry } from '../../src/data/tasks/index.js';
import { type Estimate, estimate, pairedDifference } from '../../src/evaluate/statistics.js';
import { baseIdentity, type LoadedBase, loadBase } from '../../src/lab/bases/base.js';
import { lexiconBase } from '../../src/lab/bases/preferences.js';
import { encodePairs, pairsOf } from '../../src/lab/testbeds/post/pairs.js';
import { linear } from '../../src/optim/schedule/linear.js';
import { adamw } from '../../src/optim/transform/adamw.js';
import { foldIn, randomKey } from '../../src/tensor/random/threefry.js';
import { ObjectiveScorer } from '../../src/train/objectiveScorer.js';
import { dpo } from '../../src/train/prefer/dpo.js';
import { preferObjective } from '../../src/train/prefer/index.js';
import { patchPreference, prefer, withReferenceLogps } from '../../src/train/prefer.js';
import { bradleyTerry } from '../../src/train/reward/bradleyTerry.js';
import { rewardObjective } from '../../src/train/reward/index.js';
import { patchReward, reward } from '../../src/train/reward.js';
import { runIfMain, type Study, withInterval } from './study.js';

// Razin et al. 2025, "Why is your language model a poor implicit reward model?" (catalogue P183): an implicit reward model, beta log p / p_ref of a policy
// that learnt from pairs, generalises worse than an explicit one with a linear head, above all where tokens change and their meaning does not.

const name = 'implicitReward';
const seeds = [0, 1, 2, 3, 4] as const;
const tuningSeed = 1000;
const steps = 75;
const batch = { batch_size: 24, context: 52 } as const;
const rates = [3e-4, 1e-3, 2e-3] as const;
const sizes = { train: 1200, test: 192 } as const;

/** The third words of every attribute and sign: the base has been told what they stand for, the pairs do not show them. */
const held = new Set(
  preferenceLexicon(0, true)
    .words.filter(({ attribute, sign }, i, all) => all.slice(0, i).filter((w) => w.attribute === attribute && w.sign === sign).length === 2)
    .map(({ word }) => word),
);

type Texts = Pick<PreferencePair, 'prompt' | 'chosen' | 'rejected'>;

const keep = ({ metadata }: TaskEntry): boolean => !(metadata.offered as string[]).some((w) => held.has(w));

/** Pairs that show no held-out word. */
const shownPairs = (split: 'train' | 'test', size: number, seed: number): PreferencePair[] => pairsOf({ size, seed, split, keep });

/** Words replaced by the held-out one of the same attribute and sign, in prompt and responses alike, each where the prompt does not show two of its kind. */
function swapped({ prompt, chosen, rejected, entry }: PreferencePair): Texts {
  const words = preferenceLexicon(0, true).words;
  const kind = (word: string): string => {
    const found = words.find((w) => w.word === word);
    return found ? `${found.attribute} ${found.sign}` : word;
  };
  const offered = entry.metadata.offered as string[];
  const replacements = new Map(
    offered
      .filter((word) => offered.filter((other) => kind(other) === kind(word)).length === 1)
      .map((word) => [word, [...held].find((other) => kind(other) === kind(word)) ?? word]),
  );
  const replace = (text: string): string => [...text].map((character) => replacements.get(character) ?? character).join('');
  const [user, ...rest] = prompt.split(':') as [string, ...string[]];
  return { prompt: `${user}:${replace(rest.join(':'))}`, chosen: replace(chosen), rejected: replace(rejected) };
}

/** What both models are measured on. */
const tests = (): Readonly<Record<string, readonly Texts[]>> => {
  const shown = shownPairs('test', sizes.test, 12);
  return {
    'in distribution': shown,
    'tokens swapped': shown.map(swapped),
    'domain shifted': pairsOf({ size: sizes.test, seed: 13, split: 'test', min_difficulty: 7, max_difficulty: 8, max_words: 5, keep }),
  };
};

type Kind = 'implicit' | 'explicit';

/** Share of the pairs that a model orders rightly, by set of tests. */
async function accuracies(kind: Kind, start: LoadedBase, rate: number, seed: number): Promise<Record<string, number>> {
  const { model, params } = start;
  const encode = async (pairs: readonly Texts[]): Promise<ExampleSet> => {
    const set = await encodePairs(pairs, {}, batch.context);
    return kind === 'implicit' ? withReferenceLogps(set, model, params, { ...batch, threads: 1 }) : set;
  };
  const shared = {
    model,
    start: params,
    args: { max_steps: steps, warmup_ratio: 0.05, max_grad_norm: 1 },
    data: exampleSource(await encode(shownPairs('train', sizes.train, 100 + seed)), { ...batch, key: foldIn(randomKey(seed), 1) }),
    seed,
    threads: 1,
  };
  const common = {
    optimizer: { method: adamw, settings: { ...adamw.defaults, weight_decay: 0, learning_rate: rate } },
    schedule: { method: linear, settings: linear.defaults },
  };
  const trained =
    kind === 'implicit'
      ? await prefer({ ...shared, recipe: { ...common, losses: [{ method: dpo, settings: dpo.defaults }] } })
      : await reward({ ...shared, recipe: { ...common, rewards: [{ method: bradleyTerry, settings: bradleyTerry.defaults }] } });
  const objective = kind === 'implicit' ? preferObjective(patchPreference([]), true) : rewardObjective(patchReward([]));
  const scorer = new ObjectiveScorer(model, { method: objective, settings: {} }, { threads: 1 });
  const read = kind === 'implicit' ? { ...trained.params } : { ...trained.params, objective: trained.own };
  try {
    const found: Record<string, number> = {};
    for (const [test, pairs] of Object.entries(tests())) {
      const metrics = await scorer.score(read, exampleBatches(await encode(pairs), batch));
      found[test] = metrics[kind === 'implicit' ? 'rewards/accuracies' : 'accuracy'] as number;
    }
    return found;
  } finally {
    scorer.dispose();
  }
}

/** The best of three rates by accuracy in distribution, on a seed that is not compared. */
async function tunedRate(
  kind: Kind,
  start: LoadedBase,
): Promise<{ readonly rate: number; readonly tried: Readonly<Record<string, number>> }> {
  const tried: Record<string, number> = {};
  for (const rate of rates) tried[rate] = (await accuracies(kind, start, rate, tuningSeed))['in distribution'] as number;
  const [best] = [...rates].sort((a, b) => (tried[b] as number) - (tried[a] as number));
  return { rate: best as number, tried };
}

/** Does an explicit reward model generalise better than an implicit one, above all to tokens that the pairs did not show? */
export async function implicitReward(): Promise<Study> {
  const start = await loadBase(lexiconBase, { threads: 1 });
  const tuned = { implicit: await tunedRate('implicit', start), explicit: await tunedRate('explicit', start) };
  const runs: Record<Kind, Record<string, number>[]> = { implicit: [], explicit: [] };
  for (const seed of seeds)
    for (const kind of ['implicit', 'explicit'] as const) runs[kind].push(await accuracies(kind, start, tuned[kind].rate, seed));
  const cases = Object.keys(runs.implicit[0] ?? {}).map((test) => {
    const values = (kind: Kind): number[] => runs[kind].map((r) => r[test] as number);
    const [implicit, explicit] = [values('implicit'), values('explicit')];
    return { test, implicit, explicit, difference: pairedDifference(implicit, explicit) };
  });
  const gains = cases.filter(({ difference }) => difference.low > 0);
  const losses = cases.filter(({ difference }) => difference.high < 0);
  const interval = ({ mean, low, high }: Estimate): string => withInterval({ value: mean, low, high });
  const shift = (kind: Kind): number => {
    const [own, swap] = cases.map((c) => estimate(c[kind]).mean);
    return (own as number) - (swap as number);
  };
  return {
    name,
    seed: 'P183',
    paper: 'Razin et al. 2025',
    question: 'Does an explicit reward model generalise better than an implicit one, above all to tokens that the pairs did not show?',
    verdict: gains.length === cases.length ? 'yes' : gains.length > 0 ? 'in part' : losses.length > 0 ? 'no' : 'open',
    answer:
      `${cases.map((c) => `${c.test}: explicit less implicit ${interval(c.difference)}`).join('; ')}. ` +
      `Swapped tokens cost the implicit model ${shift('implicit').toFixed(3)} of its accuracy and the explicit one ${shift('explicit').toFixed(3)}.`,
    settings: {
      base: { id: lexiconBase.id, identity: baseIdentity(lexiconBase) },
      steps,
      batch,
      sizes,
      tuned,
      note: 'both learn from the same pairs in the same order; rates by accuracy in distribution on seed 1000',
    },
    seeds,
    table: cases.map((c) => ({
      pairs: c.test,
      implicit: interval(estimate(c.implicit)),
      explicit: interval(estimate(c.explicit)),
      difference: interval(c.difference),
    })),
    details: cases,
  };
}

await runIfMain(import.meta.url, implicitReward);
