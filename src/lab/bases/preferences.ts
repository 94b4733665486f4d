import { preferenceLexicon, preferencePairs, type TaskDocument } from '../../data/tasks/index.js';
import type { DecoderConfig } from '../../models/index.js';
import { hashOf } from '../runStore.js';
import type { BaseModel } from './base.js';

/** A decoder of 0.16M parameters over the characters of the tasks, with room for a prompt and a response. */
const tinyDecoder: DecoderConfig = {
  vocab_size: 100,
  hidden_size: 96,
  num_hidden_layers: 2,
  num_attention_heads: 3,
  intermediate_size: 128,
  max_position_embeddings: 128,
};

/** Prompts of the preference world that the bases and the comparisons share: 4 or 5 words of a letter on offer. */
export const preferenceLevels = { single_letters: true, min_difficulty: 4, max_difficulty: 5 } as const;

/** Labels by the throw of a coin: the chosen response of such a pair is any legal one. */
const anyResponses = () => preferencePairs({ size: 20_000, seed: 31, ...preferenceLevels, flip: 0.5, min_margin: 0 });

function randomResponses(): TaskDocument[] {
  const pairs = anyResponses();
  return Array.from({ length: pairs.length }, (_, i) => {
    const { prompt, chosen } = pairs.pair(i);
    return { prompt, completion: chosen };
  });
}

const training: BaseModel['training'] = { max_steps: 1100, rows: 16, context: 96, learning_rate: 3e-3, seed: 4 };

/** The start of comparisons of preferences: it writes legal responses and prefers none. */
export const preferencesBase: BaseModel = {
  id: 'preferences-s',
  summary: 'a decoder of 0.16M parameters that has seen random responses to users of the preference world',
  config: tinyDecoder,
  training,
  data: { tasks: 'preference-world 4-5 of single letters, random responses', fingerprint: anyResponses().tasks.fingerprint },
  documents: randomResponses,
};

/** What each word stands for, `k?` and `#2+`. */
const meanings = (): TaskDocument[] =>
  preferenceLexicon(0, true).words.map(({ word, attribute, sign }) => ({
    prompt: `${word}?`,
    completion: `#${attribute}${sign > 0 ? '+' : '-'}`,
  }));

/** A base that also knows what every word of the world stands for, as language models know synonyms. */
export const lexiconBase: BaseModel = {
  id: 'lexicon-s',
  summary: 'as preferences-s, and it has been told the attribute and the sign of every word',
  config: tinyDecoder,
  training: { ...training, seed: 5 },
  data: {
    tasks: 'preference-world 4-5 of single letters, random responses, meanings of words',
    fingerprint: hashOf([anyResponses().tasks.fingerprint, meanings()]),
  },
  // a third of the documents are meanings
  documents: () => {
    const told = meanings();
    return randomResponses()
      .slice(0, 16_000)
      .flatMap((document, i) => (i % 2 === 0 ? [document, told[(i / 2) % told.length] as TaskDocument] : [document]));
  },
};
