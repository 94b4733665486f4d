import { Draws } from '../../../data/probes/draws.js';
import { generate } from '../../../infer/index.js';
import { foldIn, randomKey } from '../../../tensor/random/threefry.js';
import type { TrainedModel } from './testbed.js';

/** A problem whose answer is a number of two digits: `37,52=` and `#45`. */
export interface NumberRow {
  readonly [column: string]: string | number;
  readonly prompt: string;
  readonly completion: string;
  /** the value without its noise */
  readonly value: number;
}

/** The function to learn, from 5 to 95 for a and b from 0 to 99. */
const functionOf = (a: number, b: number): number => 5 + 0.6 * a + (30 * (1 + Math.sin(b / 16))) / 2;

/** standard deviation of what is added to the value of training examples */
const spread = 3;

/** Every fifth pair of numbers is kept for tests. */
const isTest = (a: number, b: number): boolean => (a * 7 + b * 3) % 5 === 0;

function normal(draws: Draws): number {
  return Math.sqrt(-2 * Math.log(draws.unit())) * Math.cos(2 * Math.PI * draws.unit());
}

/** Examples of a noisy function of two numbers. Those for tests show the value itself, rounded. */
export function numberRows({
  size,
  seed,
  split,
}: {
  readonly size: number;
  readonly seed: number;
  readonly split: 'train' | 'test';
}): NumberRow[] {
  const key = foldIn(randomKey(seed), 0x6e756d62);
  return Array.from({ length: size }, (_, i) => {
    const draws = new Draws(foldIn(key, i));
    let [a, b] = [draws.below(100), draws.below(100)];
    while (isTest(a, b) !== (split === 'test')) [a, b] = [draws.below(100), draws.below(100)];
    const value = functionOf(a, b);
    const shown = Math.min(99, Math.max(0, Math.round(value + (split === 'train' ? spread * normal(draws) : 0))));
    return { prompt: `${a},${b}=`, completion: `#${String(shown).padStart(2, '0')}`, value };
  });
}

/** Mean distance of the number that is written with the most likely digits from the true value; 100 where none is written. */
export async function greedyError(
  { model, params, tokenizer, threads, signal }: TrainedModel,
  rows: readonly NumberRow[],
): Promise<number> {
  const completions = await generate({
    model,
    params,
    tokenizer,
    prompts: rows.map(({ prompt }) => tokenizer.encode(prompt)),
    max_completion_length: 6,
    sampling: { temperature: 0 },
    stop_token_ids: tokenizer.eos_token_id === null ? [] : [tokenizer.eos_token_id],
    threads,
    ...(signal ? { signal } : {}),
  });
  const errors = completions.map(({ prompt, text }) => {
    const written = /^#(\d+)$/.exec(text);
    return written ? Math.abs(Number(written[1]) - (rows[prompt] as NumberRow).value) : 100;
  });
  return errors.reduce((a, b) => a + b, 0) / errors.length;
}
