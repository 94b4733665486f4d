import type { Tokenizer } from '../../contracts/index.js';
import type { NDArray } from '../../tensor/array.js';
import { VitroError } from '../../tensor/errors.js';
import { foldIn } from '../../tensor/random/threefry.js';
import { type Batch, batchBuffers, toBatch } from '../stream/batch.js';
import { Draws } from './draws.js';

/** A question about the letters of a word, as text. */
export interface LetterQuestion {
  readonly kind: 'count' | 'contains' | 'first' | 'last';
  readonly word: string;
  /** e.g. "how many n in banana?" */
  readonly prompt: string;
  /** e.g. "2"; follows the prompt after a blank */
  readonly answer: string;
}

const consonants = 'bdfgklmnprst';
const vowels = 'aeiou';
const kinds = ['count', 'contains', 'first', 'last'] as const;

const pick = (draws: Draws, from: string): string => from[draws.below(from.length)] as string;

/** A made-up word of two to four syllables. */
function drawWord(draws: Draws): string {
  const syllables = 2 + draws.below(3);
  return Array.from(
    { length: syllables },
    () => pick(draws, consonants) + pick(draws, vowels) + (draws.below(4) === 0 ? pick(draws, 'nrs') : ''),
  ).join('');
}

/** Whether a word is kept from training: a fifth of all words, by a hash of the letters (FNV-1a), the same for every seed. */
export function isHeldOut(word: string): boolean {
  let hash = 0x811c9dc5;
  for (let i = 0; i < word.length; i++) hash = Math.imul(hash ^ word.charCodeAt(i), 0x01000193) >>> 0;
  // the low bits of this hash mix badly
  return (hash >>> 8) % 5 === 0;
}

function wordOf(draws: Draws, heldOut: boolean): string {
  let word = drawWord(draws);
  while (isHeldOut(word) !== heldOut) word = drawWord(draws);
  return word;
}

/** A part of `size` letters of a word. */
function partOf(draws: Draws, word: string, size: number): string {
  const from = draws.below(word.length - size + 1);
  return word.slice(from, from + size);
}

/** Two or three letters that stand in the word, or, as often, that do not. */
function containsQuestion(draws: Draws, word: string): [prompt: string, answer: string] {
  const size = 2 + draws.below(2);
  const present = draws.below(2) === 1;
  let part = partOf(draws, word, size);
  while (!present && word.includes(part)) part = partOf(draws, drawWord(draws), size);
  return [`is ${part} in ${word}?`, present ? 'yes' : 'no'];
}

function ask(draws: Draws, kind: LetterQuestion['kind'], word: string): [prompt: string, answer: string] {
  if (kind === 'contains') return containsQuestion(draws, word);
  if (kind === 'first') return [`first letter of ${word}?`, word.slice(0, 1)];
  if (kind === 'last') return [`last letter of ${word}?`, word.slice(-1)];
  // one question in four is about any letter, so that 0 is an answer too
  const letter = draws.below(4) === 0 ? pick(draws, consonants + vowels) : pick(draws, word);
  return [`how many ${letter} in ${word}?`, `${word.split(letter).length - 1}`];
}

/**
 * Question number `index` of a key about the letters of a made-up word: how often a letter stands in it, whether a part stands in it, which letter is its
 * first or last. After the letter-counting and substring games of StochasTok (Sims et al. 2025, arXiv:2506.01687). Words for evaluation never occur
 * in training.
 */
export function letterQuestion(key: NDArray, index: number, split: 'train' | 'evaluation'): LetterQuestion {
  const draws = new Draws(foldIn(foldIn(key, split === 'train' ? 0 : 1), index));
  const word = wordOf(draws, split === 'evaluation');
  const kind = kinds[draws.below(kinds.length)] as LetterQuestion['kind'];
  const [prompt, answer] = ask(draws, kind, word);
  return { kind, word, prompt, answer };
}

/** The first `count` questions of a key. */
export const letterQuestions = (key: NDArray, count: number, split: 'train' | 'evaluation'): LetterQuestion[] =>
  Array.from({ length: count }, (_, i) => letterQuestion(key, i, split));

/** The question with its answer, as a document for training. */
export const letterDocument = ({ prompt, answer }: LetterQuestion): string => `${prompt} ${answer}\n`;

/**
 * Questions as a batch [B, context] in which the tokens of the answers are the only targets: rows without a mistake (exact
 * match) are those that greedy decoding answers rightly.
 *
 * @throws VitroError where a question is longer than the context
 */
export function letterBatch(tokenizer: Tokenizer, questions: readonly LetterQuestion[], context: number): Batch {
  const buffers = batchBuffers(questions.length, context, false);
  buffers.targets.fill(-1);
  for (const [b, { prompt, answer }] of questions.entries()) {
    const asked = tokenizer.encode(prompt);
    const ids = [...asked, ...tokenizer.encode(` ${answer}`)];
    if (ids.length - 1 > context)
      throw new VitroError(`letters: "${prompt} ${answer}" has ${ids.length} tokens, more than the context of ${context} holds`);
    for (const [t, id] of ids.entries()) {
      if (t < ids.length - 1) buffers.inputs[b * context + t] = id;
      if (t >= asked.length) buffers.targets[b * context + t - 1] = id;
    }
  }
  return toBatch(buffers, questions.length, context);
}

/** Share of generated answers that are right; what follows the first word of a completion does not count. */
export function scoreLetters(
  completions: readonly string[],
  questions: readonly LetterQuestion[],
): { readonly correct: number; readonly accuracy: number } {
  if (completions.length !== questions.length)
    throw new VitroError(`scoreLetters: ${completions.length} completions for ${questions.length} questions`);
  const correct = questions.filter(({ answer }, i) => completions[i]?.trim().split(/\s/)[0] === answer).length;
  return { correct, accuracy: correct / questions.length };
}
