import { extractAnswer } from '../data/tasks/index.js';
import { type GenerateOptions, generate } from '../infer/generate.js';
import { VitroError } from '../tensor/errors.js';
import type { PairwiseJudge } from './tournament.js';

/** How two responses are put to a judge that writes, and how it says which is better. */
export interface JudgeForm {
  /** text with {question}, {first} and {second} */
  readonly template: string;
  /** stands behind it and asks for a thought before the verdict */
  readonly ask: string;
  /** the verdicts: the first response is better, the second is */
  readonly labels: readonly [first: string, second: string];
}

export const judgeForm: JudgeForm = { template: '{question}?{first}|{second}', ask: '', labels: ['A', 'B'] };

/** The text of a template with its marks filled in. @throws VitroError where a mark is missing */
export function pairText(template: string, pair: { readonly question: string; readonly first: string; readonly second: string }): string {
  for (const mark of ['question', 'first', 'second'])
    if (!template.includes(`{${mark}}`))
      throw new VitroError(
        `the template of a judge must hold {question}, {first} and {second}; ${JSON.stringify(template)} lacks {${mark}}`,
      );
  return template.replace(/\{(question|first|second)\}/g, (_, mark: string) => pair[mark as keyof typeof pair]);
}

export interface GenerativeJudgeOptions extends Pick<GenerateOptions, 'model' | 'params' | 'max_completion_length' | 'threads' | 'signal'> {
  readonly tokenizer: NonNullable<GenerateOptions['tokenizer']>;
  readonly form?: Partial<JudgeForm>;
  /** default: temperature 1 */
  readonly sampling?: GenerateOptions['sampling'];
  /** The verdict that a completion states; default: what follows its last # */
  readonly verdict?: (completion: string) => string | null;
  /** default 0. What is drawn for a question follows from the seed, the question's text and its number, whatever is asked beside it. */
  readonly seed?: number;
  /** default: the tokenizer's eos */
  readonly stop_token_ids?: readonly number[];
}

/** A judge with what it was asked. */
export interface GenerativeJudge {
  readonly judge: PairwiseJudge<string>;
  /** tokens that were written, and verdicts that could not be read (they count as ties), so far */
  readonly spent: { readonly questions: number; readonly tokens: number; readonly unreadable: number };
}

/** FNV-1a of a text: a name for its random numbers. */
function nameOf(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193) >>> 0;
  return h >>> 1;
}

interface Waiting {
  readonly text: string;
  readonly sample: number;
  readonly resolve: (share: number) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * A language model as a judge: it continues the pair's text, and its verdict is 1, 0, or 0.5 where none can be read (Guo et al. 2025, arXiv:2505.14674, where
 * it thinks first). Questions that are put at the same time are answered in one batch.
 */
export function generativeJudge(options: GenerativeJudgeOptions): GenerativeJudge {
  const { tokenizer, verdict = extractAnswer, seed = 0, form, ...rest } = options;
  const { template, ask, labels } = { ...judgeForm, ...form };
  const spent = { questions: 0, tokens: 0, unreadable: 0 };
  let waiting: Waiting[] = [];
  let busy: Promise<void> = Promise.resolve();

  const answer = async (questions: readonly Waiting[]): Promise<void> => {
    try {
      const completions = await generate({
        sampling: {},
        stop_token_ids: tokenizer.eos_token_id === null ? [] : [tokenizer.eos_token_id],
        ...rest,
        tokenizer,
        seed,
        prompts: questions.map(({ text }) => tokenizer.encode(text, { add_special_tokens: true })),
        prompt_ids: questions.map(({ text, sample }) => nameOf(`${sample} ${text}`)),
      });
      spent.questions += questions.length;
      for (const [i, { text, tokens }] of completions.entries()) {
        const said = verdict(text);
        const share = said === labels[0] ? 1 : said === labels[1] ? 0 : 0.5;
        spent.tokens += tokens.length;
        if (share === 0.5) spent.unreadable++;
        questions[i]?.resolve(share);
      }
    } catch (error) {
      for (const { reject } of questions) reject(error);
    }
  };
  const flush = (): void => {
    const questions = waiting;
    waiting = [];
    busy = busy.then(() => answer(questions));
  };
  const judge: PairwiseJudge<string> = (question, first, second, sample) => {
    const text = pairText(template, { question, first, second }) + ask;
    return new Promise((resolve, reject) => {
      if (waiting.length === 0) setTimeout(flush, 0);
      waiting.push({ text, sample, resolve, reject });
    });
  };
  return { judge, spent };
}
