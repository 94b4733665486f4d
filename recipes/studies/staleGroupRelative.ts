import type { CompareRow } from '../../src/lab/rows.js';
import { findTestbed } from '../../src/lab/testbeds/index.js';
import { runIfMain, type Study } from './study.js';
import { type ComparedVariant, comparedVariant, differenceInterval, judgedVariants, sideInterval, type Variant } from './variants.js';

// Yao et al. 2025, arXiv:2509.24203 (catalogue P064): group-relative REINFORCE is off-policy by nature; clipping, not the importance weight, is what
// stabilises it, and other regularizers do as well.

const name = 'staleGroupRelative';
const testbed = 'countdown-s';
const baseline = 'grpo+stale-rollouts';
const staleness = [0, 4, 16] as const;
const seeds = 3;

interface Form extends Variant {
  /** degrees of staleness at which it is run; where ratios are 1, clip, weight and penalty change nothing */
  readonly at: readonly number[];
}

/** Forms of REC by importance weight and clip, and the two published regularizers. */
const forms: readonly Form[] = [
  { label: 'one-side clip', method: 'rec+stale-rollouts', set: [], at: [0, 4, 16] },
  { label: 'one-side clip, importance weight', method: 'rec+stale-rollouts', set: ['rec.importance_weight=true'], at: [4, 16] },
  { label: 'no clip', method: 'rec+stale-rollouts', set: ['rec.clip_mode=none'], at: [4, 16] },
  { label: 'two-side clip', method: 'rec+stale-rollouts', set: ['rec.clip_mode=two-side'], at: [16] },
  { label: 'opmd', method: 'opmd+stale-rollouts', set: [], at: [4, 16] },
  { label: 'asymre', method: 'asymre+stale-rollouts', set: [], at: [0, 4, 16] },
];

const meanOf = (row: CompareRow): number => row.estimate?.mean ?? 0;

/** Which form of group-relative REINFORCE learns best from samples of 0, 4 and 16 steps ago? */
export async function staleGroupRelative(): Promise<Study> {
  const { metric, margin } = findTestbed(testbed);
  const all: (ComparedVariant & { readonly stale: number })[] = [];
  for (const stale of staleness)
    for (const form of forms.filter(({ at }) => at.includes(stale))) {
      const set = [`stale-rollouts.staleness=${stale}`];
      all.push({ ...(await comparedVariant(form, { name, testbed, baseline, seeds, set })), stale });
    }
  const judged = judgedVariants(all, testbed);
  type Judged = (typeof judged)[number];
  const of = (stale: number): readonly Judged[] => judged.filter((c) => c.stale === stale);
  const table = staleness.flatMap((stale) => [
    {
      staleness: stale,
      form: 'grpo',
      [metric]: sideInterval((of(stale)[0] as Judged).base),
      'against grpo': null,
      'p (Holm)': null,
      verdict: null,
    },
    ...of(stale).map((c) => ({
      staleness: stale,
      form: c.label,
      [metric]: sideInterval(c.row),
      'against grpo': differenceInterval(c.difference),
      'p (Holm)': c.p,
      verdict: c.verdict,
    })),
  ]);
  const [fresh, stalest] = [of(0), of(16)];
  const rowOf = (own: readonly Judged[], label: string): CompareRow => (own.find((c) => c.label === label) ?? (own[0] as Judged)).row;
  const lost = forms.map(({ label }) => `${(meanOf(rowOf(fresh, label)) - meanOf(rowOf(stalest, label))).toFixed(3)} for ${label}`);
  const lostByGrpo = meanOf((fresh[0] as Judged).base) - meanOf((stalest[0] as Judged).base);
  const [wins, losses] = (['gain', 'loss'] as const).map((v) => judged.filter((c) => c.verdict === v && c.stale > 0).length) as [
    number,
    number,
  ];
  return {
    name,
    seed: 'P064',
    paper: 'arXiv:2509.24203',
    question: 'Which form of group-relative REINFORCE learns best from samples of 0, 4 and 16 steps ago?',
    verdict: wins > 0 ? (losses > 0 ? 'in part' : 'yes') : losses > 0 ? 'no' : 'open',
    answer:
      `From fresh samples to samples of 16 steps ago ${metric} falls by ${lostByGrpo.toFixed(3)} for grpo, ${lost.join(', ')}. ` +
      `Against grpo on stale samples, corrected over ${judged.length} comparisons: ${wins} gains, ${losses} losses ` +
      '(yes = some form of REC gains on grpo where samples are stale, and none loses).',
    settings: { testbed, baseline, staleness, forms, metric, margin, note: 'learning rates as the testbed has them for every method' },
    seeds: Array.from({ length: seeds }, (_, i) => i),
    table,
    details: judged.map(({ stale, label, difference, p, base, row }) => ({
      staleness: stale,
      form: label,
      values: row.values,
      grpo: base.values,
      difference,
      p_holm: p,
      generated_tokens: row.tokens,
      diverged: row.diverged,
    })),
  };
}

await runIfMain(import.meta.url, staleGroupRelative);
