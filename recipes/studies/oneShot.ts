import { findTestbed } from '../../src/lab/testbeds/index.js';
import { runIfMain, type Study } from './study.js';
import { type ComparedVariant, comparedVariant, differenceInterval, judgedVariants, sideInterval, type Variant } from './variants.js';

// Wang et al. 2025, arXiv:2504.20571 (catalogue S28): one problem, trained on again and again, teaches nearly as much as the full set, and the entropy bonus
// is part of why.

const name = 'oneShot';
const testbed = 'arithmetic-graded';
const baseline = 'grpo';
const seeds = 3;

const variants: readonly Variant[] = [
  { label: '1 problem, entropy bonus', method: 'grpo+one-shot-rlvr', set: [] },
  { label: '1 problem', method: 'grpo+one-shot-rlvr', set: ['one-shot-rlvr.entropy_coef=0'] },
  { label: '4 problems, entropy bonus', method: 'grpo+one-shot-rlvr', set: ['one-shot-rlvr.shots=4'] },
  { label: '16 problems, entropy bonus', method: 'grpo+one-shot-rlvr', set: ['one-shot-rlvr.shots=16'] },
  { label: 'all problems, entropy bonus', method: 'grpo+entropy-bonus', set: [] },
];

/** How much of what all problems teach does one problem teach, and what does the entropy bonus add? */
export async function oneShot(): Promise<Study> {
  const { metric, margin } = findTestbed(testbed);
  const all: ComparedVariant[] = [];
  for (const variant of variants) all.push(await comparedVariant(variant, { name, testbed, baseline, seeds }));
  const judged = judgedVariants(all, testbed);
  const one = judged[0] as (typeof judged)[number];
  const means = Object.fromEntries(judged.map(({ label, row }) => [label, row.estimate?.mean ?? 0]));
  const bonus = (means['1 problem, entropy bonus'] as number) - (means['1 problem'] as number);
  return {
    name,
    seed: 'S28',
    paper: 'arXiv:2504.20571',
    question: 'How much of what all problems teach does one problem teach, and what does the entropy bonus add?',
    verdict: one.verdict === 'equivalent' || one.verdict === 'gain' ? 'yes' : one.verdict === 'loss' ? 'no' : 'open',
    answer:
      `One problem with the bonus against all problems: ${differenceInterval(one.difference)} of ${metric}, ${one.verdict}; the bonus adds ${bonus.toFixed(3)} ` +
      'where there is one problem (yes = one problem is as good as all within the margin).',
    settings: { testbed, baseline, variants, metric, margin },
    seeds: Array.from({ length: seeds }, (_, i) => i),
    table: [
      { problems: 'all problems (grpo)', [metric]: sideInterval(one.base), 'against all': null, 'p (Holm)': null, verdict: null },
      ...judged.map((c) => ({
        problems: c.label,
        [metric]: sideInterval(c.row),
        'against all': differenceInterval(c.difference),
        'p (Holm)': c.p,
        verdict: c.verdict,
      })),
    ],
    details: judged.map(({ label, row, base, difference }) => ({ problems: label, values: row.values, all: base.values, difference })),
  };
}

await runIfMain(import.meta.url, oneShot);
