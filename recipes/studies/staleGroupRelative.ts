import { holm, type PairedDifference, verdict } from '../../src/evaluate/statistics.js';
import { compare } from '../../src/lab/compare.js';
import type { CompareRow } from '../../src/lab/rows.js';
import { findTestbed } from '../../src/lab/testbeds/index.js';
import { progress, runIfMain, runsOf, type Study, withInterval } from './study.js';

// Yao et al. 2025, arXiv:2509.24203 (catalogue P064): group-relative REINFORCE is off-policy by nature; clipping, not the importance weight, is what
// stabilises it, and other regularizers do as well.

const name = 'staleGroupRelative';
const testbed = 'countdown-s';
const baseline = 'grpo+stale-rollouts';
const staleness = [0, 4, 16] as const;
const seeds = 3;

interface Variant {
  readonly label: string;
  readonly method: string;
  readonly set: readonly string[];
  /** degrees of staleness at which it is run; where ratios are 1, clip, weight and penalty change nothing */
  readonly at: readonly number[];
}

/** Forms of REC by importance weight and clip, and the two published regularizers. */
const variants: readonly Variant[] = [
  { label: 'one-side clip', method: 'rec', set: [], at: [0, 4, 16] },
  { label: 'one-side clip, importance weight', method: 'rec', set: ['rec.importance_weight=true'], at: [4, 16] },
  { label: 'no clip', method: 'rec', set: ['rec.clip_mode=none'], at: [4, 16] },
  { label: 'two-side clip', method: 'rec', set: ['rec.clip_mode=two-side'], at: [16] },
  { label: 'opmd', method: 'opmd', set: [], at: [4, 16] },
  { label: 'asymre', method: 'asymre', set: [], at: [0, 4, 16] },
];

interface Compared extends Variant {
  readonly stale: number;
  readonly base: CompareRow;
  readonly row: CompareRow;
  readonly difference: PairedDifference;
}

async function compared(stale: number, variant: Variant): Promise<Compared> {
  const { rows } = await compare(
    {
      methods: [baseline, `${variant.method}+stale-rollouts`],
      testbed,
      seeds,
      set: [`stale-rollouts.staleness=${stale}`, ...variant.set],
      out: runsOf(name),
      parallel: 1,
      threads: 1,
    },
    progress,
  );
  const [base, row] = rows as [CompareRow, CompareRow];
  if (!row.difference) throw new Error(`${variant.label}: all runs diverged`);
  return { ...variant, stale, base, row, difference: row.difference };
}

const interval = ({ estimate }: CompareRow): string =>
  estimate ? withInterval({ value: estimate.mean, low: estimate.low, high: estimate.high }) : 'diverged';

/** Which form of group-relative REINFORCE learns best from samples of 0, 4 and 16 steps ago? */
export async function staleGroupRelative(): Promise<Study> {
  const { margin, better, metric } = findTestbed(testbed);
  const all: Compared[] = [];
  for (const stale of staleness)
    for (const variant of variants.filter((v) => v.at.includes(stale))) all.push(await compared(stale, variant));
  const corrected = holm(all.map(({ difference }) => difference.p));
  const judged = all.map((c, i) => ({
    ...c,
    p: corrected[i] as number,
    verdict: verdict(c.difference, { margin, better, p: corrected[i] }),
  }));
  const meanOf = (row: CompareRow): number => row.estimate?.mean ?? 0;
  const table = staleness.flatMap((stale) => {
    const own = judged.filter((c) => c.stale === stale);
    const base = (own[0] as Compared).base;
    return [
      { staleness: stale, variant: 'grpo', [metric]: interval(base), 'against grpo': null, 'p (Holm)': null, verdict: null },
      ...own.map((c) => ({
        staleness: stale,
        variant: c.label,
        [metric]: interval(c.row),
        'against grpo': withInterval({ value: c.difference.mean, low: c.difference.low, high: c.difference.high }),
        'p (Holm)': c.p,
        verdict: c.verdict,
      })),
    ];
  });
  const stalest = judged.filter((c) => c.stale === staleness.at(-1));
  const fresh = judged.filter((c) => c.stale === 0);
  const lost = (label: string): number =>
    meanOf((fresh.find((c) => c.label === label) ?? (fresh[0] as Compared)).row) -
    meanOf((stalest.find((c) => c.label === label) as Compared).row);
  const lostByGrpo = meanOf((fresh[0] as Compared).base) - meanOf((stalest[0] as Compared).base);
  const wins = judged.filter((c) => c.verdict === 'gain' && c.stale > 0);
  const losses = judged.filter((c) => c.verdict === 'loss' && c.stale > 0);
  return {
    name,
    seed: 'P064',
    paper: 'arXiv:2509.24203',
    question: 'Which form of group-relative REINFORCE learns best from samples of 0, 4 and 16 steps ago?',
    verdict: wins.length > 0 ? (losses.length > 0 ? 'in part' : 'yes') : losses.length > 0 ? 'no' : 'open',
    answer:
      `From fresh samples to samples of ${staleness.at(-1)} steps ago ${metric} falls by ${lostByGrpo.toFixed(3)} for grpo; ` +
      `${variants.map((v) => `${lost(v.label).toFixed(3)} for ${v.label}`).join(', ')}. ` +
      `Against grpo on stale samples, corrected over ${judged.length} comparisons: ${wins.length} gains, ${losses.length} losses ` +
      `(yes = some form of REC gains on grpo where samples are stale, and none loses).`,
    settings: {
      testbed,
      baseline,
      staleness,
      variants,
      metric,
      margin,
      seeds,
      note: 'learning rates as the testbed has them for every method',
    },
    seeds: Array.from({ length: seeds }, (_, i) => i),
    table,
    details: judged.map(({ stale, label, difference, p, base, row }) => ({
      staleness: stale,
      variant: label,
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
