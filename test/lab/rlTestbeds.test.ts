import { describe, expect, it } from 'vitest';
import { type TaskDocument, taskTokenizer } from '../../src/data/tasks/index.js';
import type { BaseModel } from '../../src/lab/bases/base.js';
import { tasksBase } from '../../src/lab/bases/index.js';
import { confidentBase, divisionBase, labelledBase, thoughtsBase, twoFormsBase } from '../../src/lab/bases/special.js';
import { completeRecipe } from '../../src/lab/recipe.js';
import { completionMetrics, type EvaluatedCompletion, type EvaluationSet } from '../../src/lab/testbeds/rl/evaluate.js';
import { rlAbouts } from '../../src/lab/testbeds/rl/index.js';
import { exactReward, type Problems } from '../../src/lab/testbeds/rl/problems.js';
import { denseScore, specialAbouts, tokenPrice } from '../../src/lab/testbeds/rl/special.js';
import { type RlTestbedAbout, rlTestbed } from '../../src/lab/testbeds/rl/testbed.js';
import type { PromptRow } from '../../src/train/rl/index.js';

function about(id: string): RlTestbedAbout {
  const found = specialAbouts.find((a) => a.id === id);
  if (!found) throw new Error(`no testbed ${id}`);
  return found;
}
const setOf = (id: string): EvaluationSet => about(id).data().evaluation[0] as EvaluationSet;

/** The value of a problem of chain arithmetic, by a parser of its own. */
function reached(problem: string): number {
  const [start, ...operations] = problem.split('=')[0]?.split(',') ?? [];
  let value = Number(start);
  for (const o of operations) {
    const n = Number(o.slice(1));
    value = o[0] === '+' ? value + n : o[0] === '-' ? value - n : value * n;
  }
  return value;
}

/** A problem whatever its form: what stands before =, from left to right, bits without letters. */
function problemOf(prompt: string): string {
  const own = prompt.endsWith(':') ? prompt.slice(0, -1).split(',').reverse().join(',') : (prompt.split('=')[0] as string);
  return own.replace(/[a-z]/g, '');
}

const completion = (row: PromptRow, text: string, problems: Problems): EvaluatedCompletion => ({
  row,
  text,
  length: text.length + 1,
  score: problems.judge(text, row),
});

describe('problems', () => {
  it('of training, of measurement and of the base share nothing', () => {
    const bases = new Map(
      [confidentBase, divisionBase, labelledBase, thoughtsBase, twoFormsBase].map((base) => [
        base,
        new Set(base.documents().map((d) => problemOf(d.prompt))),
      ]),
    );
    for (const { id, data, base } of specialAbouts) {
      const { train, evaluation } = data();
      const trained = new Set(train.rows.map((r) => problemOf(r.prompt)));
      for (const { problems } of evaluation)
        for (const { prompt } of problems.rows) {
          expect(trained.has(problemOf(prompt)), id).toBe(false);
          expect(bases.get(base)?.has(problemOf(prompt)) ?? false, id).toBe(false);
        }
      expect(rlAbouts.map((a) => a.id)).toContain(id);
    }
  });

  it('are right where their worked solution is written, and fit the tokenizer and the budget', () => {
    const tokenizer = taskTokenizer();
    const [unknown] = tokenizer.encode('\u00e9');
    for (const { id, data } of specialAbouts) {
      const { train, evaluation } = data();
      const judged: [Problems, number][] = [
        [train, 1e9],
        ...evaluation.map((e): [Problems, number] => [e.problems, e.decode ? 1e9 : e.max_completion_length]),
      ];
      for (const [problems, most] of judged)
        for (const row of problems.rows) {
          const text = id === 'next-token-reasoning' ? `${(row.steps as string[]).join(';')}#${row.solution}` : String(row.solution);
          expect(problems.judge(text, row), `${id} ${row.prompt}`).toBe(1);
          expect(tokenizer.encode(text).length, `${id} ${text}`).toBeLessThan(most);
          expect(problems.judge('#x', row)).toBe(0);
          expect([...tokenizer.encode(row.prompt)]).not.toContain(unknown);
        }
    }
  });

  it('of chain arithmetic have the answer that their text says', () => {
    for (const id of ['calibrated-arithmetic', 'arithmetic-paraphrase', 'think-modes', 'divide-and-conquer'])
      for (const row of setOf(id).problems.rows) expect(Number(row.answer), id).toBe(reached(row.prompt));
  });
});

describe('forms of the bases', () => {
  const documents = (base: BaseModel): TaskDocument[] => base.documents().slice(0, 300);

  it('confidences are uniform digits behind right solutions', () => {
    const counts = new Array<number>(10).fill(0);
    for (const { prompt, completion: text } of documents(confidentBase)) {
      const [, answer, digit] = /#(\d+)~(\d)$/.exec(text) ?? [];
      expect(Number(answer)).toBe(reached(prompt));
      counts[Number(digit)] = (counts[Number(digit)] as number) + 1;
    }
    expect(Math.min(...counts)).toBeGreaterThan(12);
  });

  it('two forms slip at differences here and at sums there, and are right elsewhere', () => {
    for (const { prompt, completion: text } of documents(twoFormsBase)) {
      const [sign, by] = prompt.endsWith(':') ? ['+', 10] : ['-', 1];
      for (const step of text.split('#')[0]?.split(';') ?? []) {
        const [, a, o, b, c] = /^(\d+)([-+*])(\d+)=(\d+)$/.exec(step) ?? [];
        const off = Number(c) - reached(`${a},${o}${b}=`);
        expect(o === sign ? [0, by] : [0]).toContain(off);
      }
      const own = prompt.endsWith(':') ? problemOf(prompt) : prompt.split('=')[0];
      expect(text.split(';').map((s) => /[-+*]\d+(?==)/.exec(s)?.[0])).toEqual(own?.split(',').slice(1));
    }
  });

  it('thoughts are beginnings of the steps, predictions beginnings of the answer', () => {
    for (const { prompt, completion: text } of documents(thoughtsBase)) {
      const [problem, shown] = prompt.split('=') as [string, string];
      const [thought, said] = text.split('#') as [string, string];
      expect(String(reached(problem)).startsWith(shown + said)).toBe(true);
      for (const step of thought === '' ? [] : thought.split(';')) {
        const [left, right] = step.split('=') as [string, string];
        expect(reached(left.replace(/([-+*])/, ',$1'))).toBe(Number(right));
      }
    }
  });

  it('divisions join to the problem, and values are those of their parts', () => {
    for (const { prompt, completion: text } of documents(divisionBase)) {
      const [problem, parts] = prompt.split('|') as [string, string | undefined];
      const division = prompt.endsWith('=|') ? text : parts;
      if (division !== undefined) expect(`${division.replaceAll(';', ',')}=`).toBe(problem);
      if (prompt.endsWith('=|')) continue;
      expect(Number(text.split('#')[1])).toBe(reached(problem));
      if (!division) continue;
      const ends = division.split(';').map((_, i, all) => reached(all.slice(0, i + 1).join(',')));
      expect(text.split('#')[0]).toBe(ends.join(';'));
    }
  });

  it('labelled parity is a running parity, from wherever it goes on', () => {
    for (const { prompt, completion: text } of documents(labelledBase)) {
      const [problem, carry] = prompt.split('=') as [string, string];
      const bits = problem.replace(/[a-z]/g, '');
      const whole = [...bits].map(
        (_, i) => `${String.fromCharCode(97 + i)}${[...bits.slice(0, i + 1)].filter((b) => b === '1').length % 2}`,
      );
      expect(`${whole.join(';')}#${whole.at(-1)?.slice(1)}`.endsWith(carry + text)).toBe(true);
    }
  });
});

describe('metrics and rewards', () => {
  it('Brier score and calibration error of stated confidences, the worst one where there is none', () => {
    const set = { ...setOf('calibrated-arithmetic'), samples: 2 };
    const rows = set.problems.rows.slice(0, 2) as [PromptRow, PromptRow];
    const [first, second] = rows;
    const texts = [
      [first, `#${first.answer}~9`],
      [first, '#x~9'],
      [second, `#${second.answer}`],
      [second, `#${second.answer}~0`],
    ] as const;
    const {
      brier,
      ece,
      'pass@1': pass,
    } = completionMetrics(
      set,
      texts.map(([row, text]) => completion(row, text, set.problems)),
    );
    expect(pass).toBe(0.75);
    expect(brier).toBeCloseTo((0.05 ** 2 + 0.95 ** 2 + 1 + 0.95 ** 2) / 4, 12);
    // two bins of two: one of 0.95 twice, half of them right; one of 0 and 0.05, both right
    expect(ece).toBeCloseTo((2 * Math.abs(0.5 - 0.95) + 2 * Math.abs(1 - 0.025)) / 4, 12);
  });

  it('the verifier sees answers without confidence, the dense scorer prefix, length and noise but no answer', async () => {
    const { train } = about('arithmetic-dense-reward').data();
    const rewards = about('arithmetic-dense-reward').rewards?.(train) ?? [];
    expect(rewards.map((r) => r.name)).toEqual(['exact', 'model']);
    const rows = train.rows.slice(0, 40);
    const texts = rows.map((row, i) => (i % 2 ? String(row.solution) : '1+1=3#x'));
    const columns = { index: rows.map((r) => r.index ?? null), steps: rows.map((r) => r.steps ?? null) };
    const [exact, model] = await Promise.all(
      rewards.map((r) =>
        r.score(
          rows.map((row) => row.prompt),
          texts,
          columns,
        ),
      ),
    );
    expect(exact).toEqual(rows.map((_, i) => i % 2));
    for (const [i, m] of (model ?? []).entries()) {
      const share = i % 2 ? 1 : 0;
      const least = 0.1 + 0.5 * share + (0.2 * (texts[i] as string).length) / 40;
      expect(m).toBeGreaterThanOrEqual(least - 1e-12);
      expect(m).toBeLessThan(least + 0.2);
    }
    const steps = ['1+2=3', '3*2=6'];
    expect(denseScore('1+2=3;3*2=7#7', steps, 56) - denseScore('1+2=3;3*2=7#7', ['9', ...steps], 56)).toBeCloseTo(0.25, 12);
  });

  it('next tokens: what stands behind the first # begins as the corpus goes on', () => {
    const { problems } = setOf('next-token-reasoning');
    const row = problems.rows.find((r) => String(r.solution).length === 2) as PromptRow;
    const next = String(row.answer);
    expect(row.demonstration ?? `#${next}`).toBe(`#${next}`);
    expect(String(row.solution).startsWith(next)).toBe(true);
    expect([`1+1=2#${next}`, `#${next}9#0`, `##${next}`, next, `#x${next}`].map((text) => problems.judge(text, row))).toEqual([
      1, 1, 0, 0, 0,
    ]);
    for (const r of problems.rows) expect(String(reached(r.prompt)).startsWith((r.prompt.split('=')[1] as string) + r.answer)).toBe(true);
  });

  it('utility is right answers minus the price of tokens; chains are judged without their mode', () => {
    const { derived } = about('think-modes');
    const { problems } = setOf('think-modes');
    expect(derived?.({ 'pass@1': 0.6, length: 25 }).utility).toBeCloseTo(0.6 - 25 * tokenPrice, 12);
    const row = problems.rows[0] as PromptRow;
    expect([`!${row.solution}`, `.#${row.answer}`].map((text) => [problems.judge(text, row), problems.chain?.(text, row)])).toEqual([
      [1, true],
      [1, false],
    ]);
  });

  it('values behind parts count in their order, to the end', () => {
    const { problems } = setOf('divide-and-conquer');
    const row = problems.rows.find((r) => new Set((r.steps as string[]).map((s) => s.split('=')[1])).size >= 4) as PromptRow;
    const values = (row.steps as string[]).map((s) => s.split('=')[1] as string);
    const [last] = values.slice(-1);
    const chain = (said: readonly (string | undefined)[]): unknown => problems.chain?.(`${said.join(';')}#${last}`, row);
    expect([
      chain(values),
      chain([values[1], last]),
      chain([last]),
      chain(values.slice(0, -1)),
      chain([values[1], values[0], last]),
      chain([]),
    ]).toEqual([true, true, true, false, false, false]);
  });

  it('budgeted is the mean over budgets; parity in chunks needs right steps', () => {
    const derived = about('thinking-budgets').derived?.({ 'budget 40/pass@1': 0.1, 'budget 64/pass@1': 0.3, 'budget 88/pass@1': 0.5 });
    expect(derived?.budgeted).toBeCloseTo(0.3, 12);
    const { problems } = setOf('parity-chunks');
    const row = problems.rows[0] as PromptRow;
    expect([problems.judge(`#${row.answer}`, row), problems.judge(String(row.solution), row)]).toEqual([0, 1]);
    // a vote tells answers without right steps apart from right ones
    expect(problems.answer(`#${row.answer}`, row)).not.toBe(problems.answer(String(row.solution), row));
  });

  it('the verifier reads the problems that rows name', async () => {
    const { train } = about('calibrated-arithmetic').data();
    const rows = [train.rows[3], train.rows[1]] as PromptRow[];
    const score = exactReward(train).score(['', ''], [`#${rows[0]?.answer}~3`, '#x'], { index: rows.map((r) => r.index ?? null) });
    expect(await score).toEqual([1, 0]);
  });
});

describe('a run', () => {
  it.each(['grpo', 'grpo+dac-rl', 'grpo+delethink'])('of one step of %s is measured in its own way of decoding', async (spec) => {
    const own = about('divide-and-conquer');
    const few = (problems: Problems): Problems => ({ ...problems, rows: problems.rows.slice(0, 8) });
    const testbed = rlTestbed({
      ...own,
      base: tasksBase,
      args: { max_steps: 1 },
      data: () => {
        const { train, evaluation } = own.data();
        return { train: few(train), evaluation: evaluation.map((e) => ({ ...e, problems: few(e.problems) })) };
      },
    });
    const recipe = completeRecipe(testbed, spec, { rl: { prompts_per_step: 2 } });
    const { status, metrics } = await testbed.run(recipe, { seed: 0, threads: 1 });
    expect(status).toBe('finished');
    expect(metrics['pass@1']).toBeGreaterThanOrEqual(0);
    // a division and a solution never stop before their second token
    if (spec === 'grpo+dac-rl') expect(metrics.length).toBeGreaterThan(2);
    expect(metrics.length).toBeLessThanOrEqual(56);
  });
});
