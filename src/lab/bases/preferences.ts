import { Draws } from '../../data/probes/draws.js';
import { preferenceLexicon, preferencePairs, type TaskDocument } from '../../data/tasks/index.js';
import type { DecoderConfig } from '../../models/index.js';
import { foldIn, randomKey } from '../../tensor/random/threefry.js';
import { hashOf } from '../runStore.js';
import type { BaseModel } from './base.js';

/** A decoder of 0.16M parameters over the characters of the tasks, with room for a prompt and a response. */
const tinyDecoder: DecoderConfig = {
  vocab_size: 100,
  hidden_size: 64,
  num_hidden_layers: 3,
  num_attention_heads: 2,
  intermediate_size: 176,
  max_position_embeddings: 128,
};

/** Prompts of the preference world that the bases and the comparisons share: 4 or 5 words on offer. */
export const preferenceLevels = { min_difficulty: 4, max_difficulty: 5 } as const;

/** Labels by the throw of a coin: the chosen response of such a pair is any legal one. */
const anyResponses = () => preferencePairs({ size: 20_000, seed: 31, ...preferenceLevels, flip: 0.5, min_margin: 0 });

function randomResponses(): TaskDocument[] {
  const pairs = anyResponses();
  return Array.from({ length: pairs.length }, (_, i) => {
    const { prompt, chosen } = pairs.pair(i);
    return { prompt, completion: chosen };
  });
}

/** Six to eight words to be written again, `din bag fus=` and `#din bag fus`: so that a small model learns soon to take words from the prompt. */
function copies(count: number): TaskDocument[] {
  const { words, fillers } = preferenceLexicon(0);
  const all = [...words.map(({ word }) => word), ...fillers];
  return Array.from({ length: count }, (_, i) => {
    const draws = new Draws(foldIn(randomKey(32), i));
    const text = draws
      .distinct(6 + draws.below(3), all.length)
      .map((w) => all[w] as string)
      .join(' ');
    return { prompt: `${text}=`, completion: `#${text}` };
  });
}

/** Every response followed by a copy. */
const withCopies = (responses: readonly TaskDocument[]): TaskDocument[] => {
  const copied = copies(responses.length);
  return responses.flatMap((document, i) => [document, copied[i] as TaskDocument]);
};

const training: BaseModel['training'] = { max_steps: 900, rows: 16, context: 96, learning_rate: 5e-3, seed: 4 };

/** The start of comparisons of preferences: it writes legal responses and prefers none. */
export const preferencesBase: BaseModel = {
  id: 'preferences-s',
  summary: 'a decoder of 0.16M parameters that copies words and has seen random responses to users of the preference world',
  config: tinyDecoder,
  training,
  data: { tasks: 'preference-world 4-5, random responses', fingerprint: anyResponses().tasks.fingerprint },
  documents: () => withCopies(randomResponses()),
};

/** What each word stands for, `din?` and `#2+`. */
const meanings = (): TaskDocument[] =>
  preferenceLexicon(0).words.map(({ word, attribute, sign }) => ({
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
    tasks: 'preference-world 4-5, random responses, meanings of words',
    fingerprint: hashOf([anyResponses().tasks.fingerprint, meanings()]),
  },
  // a third of the documents are meanings
  documents: () => {
    const told = meanings();
    return withCopies(randomResponses())
      .slice(0, 32_000)
      .flatMap((document, i) => (i % 2 === 0 ? [document, told[(i / 2) % told.length] as TaskDocument] : [document]));
  },
};
