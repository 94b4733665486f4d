import { describe, expect, it } from 'vitest';
import { type GenerativeJudgeOptions, generativeJudge, pairText } from '../../src/evaluate/generativeJudge.js';
import { generate } from '../../src/infer/index.js';
import { tinyPolicy, tokenizer } from '../train/rl/support.js';

const template = '{question}?{first}|{second}';

describe('the text of a pair', () => {
  it('fills in every mark, and reads nothing into what is filled in', () => {
    expect(pairText(template, { question: '{first}', first: '$&', second: '3' })).toBe('{first}?$&|3');
    expect(() => pairText('{question}?{first}', { question: '', first: '', second: '' })).toThrow('lacks {second}');
  });
});

describe('a generative judge', () => {
  const policy = tinyPolicy(1);
  const options: GenerativeJudgeOptions = {
    ...policy,
    tokenizer,
    form: { ask: '!' },
    max_completion_length: 4,
    seed: 3,
    threads: 1,
    // some letter is written now and then by a policy that knows nothing
    verdict: (text) => (/[a-m]/.test(text) ? 'A' : /[n-z]/.test(text) ? 'B' : null),
  };
  const questions = ['1+1', '2+2', '3+3', '4+4', '5+5', '6+6'];
  const ask = (judge: ReturnType<typeof generativeJudge>['judge'], own = questions, sample = 0): Promise<number[]> =>
    Promise.all(own.map((q) => judge(q, '3', '4', sample)));

  it('gives the verdict of what the model writes behind the pair, whatever is asked beside it', async () => {
    const together = generativeJudge(options);
    const shares = await ask(together.judge);
    expect(together.spent.questions).toBe(questions.length);
    expect(together.spent.unreadable).toBe(shares.filter((s) => s === 0.5).length);
    const alone = generativeJudge(options);
    for (const [i, q] of questions.entries()) expect(await ask(alone.judge, [q])).toEqual([shares[i]]);
    const other = await Promise.all([1, 2, 3, 4].map((sample) => ask(generativeJudge(options).judge, questions, sample)));
    expect(other.some((own) => own.some((s, i) => s !== shares[i]))).toBe(true);
  });

  it('at temperature 0 it is the greedy completion that is read', async () => {
    const { judge, spent } = generativeJudge({ ...options, sampling: { temperature: 0 } });
    const shares = await ask(judge);
    const prompts = questions.map((q) => tokenizer.encode(`${q}?3|4!`));
    const completions = await generate({
      ...policy,
      prompts,
      max_completion_length: 4,
      sampling: { temperature: 0 },
      stop_token_ids: [2],
      tokenizer,
      threads: 1,
    });
    expect(shares).toEqual(completions.map(({ text }) => ({ A: 1, B: 0 })[options.verdict?.(text) ?? ''] ?? 0.5));
    expect(spent.tokens).toBe(completions.reduce((n, { tokens }) => n + tokens.length, 0));
  });

  it('passes on what goes wrong', async () => {
    const { judge } = generativeJudge({ ...options, max_completion_length: 0 });
    await expect(judge('1', '2', '3', 0)).rejects.toThrow('max_completion_length');
    expect(() => generativeJudge({ ...options, form: { template: 'x' } }).judge('1', '2', '3', 0)).toThrow('lacks');
  });
});
