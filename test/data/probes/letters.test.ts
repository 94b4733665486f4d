import { describe, expect, it } from 'vitest';
import { isHeldOut, letterBatch, letterDocument, letterQuestion, letterQuestions, scoreLetters } from '../../../src/data/probes/index.js';
import { trainByteLevelBpe } from '../../../src/models/tokenizer/index.js';
import { randomKey } from '../../../src/tensor/random/threefry.js';

const key = randomKey(8);

/** The answer, found again by reading the question. */
function answerOf(prompt: string): string {
  const [, letter = '', counted = ''] = /^how many (.) in (\w+)\?$/.exec(prompt) ?? [];
  if (letter) return String([...counted].filter((c) => c === letter).length);
  const [, part = '', searched = ''] = /^is (\w+) in (\w+)\?$/.exec(prompt) ?? [];
  if (part) return Array.from(searched, (_, i) => searched.startsWith(part, i)).some(Boolean) ? 'yes' : 'no';
  const [, end, word = ''] = /^(first|last) letter of (\w+)\?$/.exec(prompt) ?? [];
  return [...word].at(end === 'first' ? 0 : -1) ?? '';
}

describe('questions about letters', () => {
  const [train, evaluation] = [letterQuestions(key, 600, 'train'), letterQuestions(key, 600, 'evaluation')];

  it('have right answers, of every kind, and no answer is always right', () => {
    for (const { prompt, answer } of [...train, ...evaluation]) expect(answerOf(prompt)).toBe(answer);
    for (const [kind, most] of [
      ['count', 0.7],
      ['contains', 0.65],
      ['first', 0.3],
      ['last', 0.4],
    ] as const) {
      const answers = train.filter((q) => q.kind === kind).map((q) => q.answer);
      expect(answers.length).toBeGreaterThan(90);
      const largest = Math.max(...[...new Set(answers)].map((a) => answers.filter((x) => x === a).length));
      expect(largest / answers.length).toBeLessThan(most);
    }
  });

  it('ask in training about other words than in evaluation, whatever the seed', () => {
    expect(train.some((q) => isHeldOut(q.word))).toBe(false);
    expect(evaluation.every((q) => isHeldOut(q.word))).toBe(true);
    const other = letterQuestions(randomKey(9), 200, 'evaluation').map((q) => q.word);
    expect(other.filter((w) => train.some((q) => q.word === w))).toEqual([]);
    expect(new Set(train.map((q) => q.word)).size).toBeGreaterThan(550);
  });

  it('are functions of key and index', () => {
    expect(letterQuestion(key, 17, 'train')).toEqual(train[17]);
    expect(letterQuestions(randomKey(9), 5, 'train')).not.toEqual(train.slice(0, 5));
  });

  it('become batches in which only the answers are asked', () => {
    const tokenizer = trainByteLevelBpe(train.map(letterDocument), { vocab_size: 400 });
    const questions = evaluation.slice(0, 20);
    const { inputs, targets } = letterBatch(tokenizer, questions, 48);
    for (const [b, { prompt, answer }] of questions.entries()) {
      const row = (targets.data as Int32Array).subarray(b * 48, (b + 1) * 48);
      const asked = Array.from(row.keys()).filter((t) => (row[t] as number) >= 0);
      expect(tokenizer.decode(asked.map((t) => row[t] as number))).toBe(` ${answer}`);
      const seen = (inputs.data as Int32Array).subarray(b * 48, b * 48 + (asked[0] as number) + 1);
      expect(tokenizer.decode(seen)).toBe(prompt);
      // the question with its answer is tokenized as a training document begins
      const whole = tokenizer.encode(letterDocument({ prompt, answer, word: '', kind: 'count' }));
      expect([...seen, ...asked.map((t) => row[t] as number)]).toEqual([...whole.slice(0, seen.length + asked.length)]);
    }
    expect(() => letterBatch(tokenizer, questions, 4)).toThrow(/context of 4/);
  });

  it('are scored by the first word of a completion', () => {
    const questions = evaluation.slice(0, 3);
    const right = questions.map((q) => ` ${q.answer}\nhow many`);
    expect(scoreLetters(right, questions)).toEqual({ correct: 3, accuracy: 1 });
    expect(scoreLetters([...right.slice(0, 2), ` ${questions[2]?.answer}x`], questions).correct).toBe(2);
    expect(() => scoreLetters([], questions)).toThrow(/0 completions for 3/);
  });
});
