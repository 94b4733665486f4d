import type { JsonValue } from '../../../src/data/stream/batch.js';
import { extractAnswer, splitConfidence } from '../../../src/data/tasks/index.js';
import { RolloutBatch } from '../../../src/train/rl/batch.js';
import type { NamedReward, PolicyService } from '../../../src/train/rl/contract.js';
import type { ScoredSample } from '../../../src/train/rl/trajectory.js';
import { mixedBatch, numbers, sample, tokenizer } from './support.js';

/** Completions that say something about problems with columns: where methods read answers, and where they must equal an exact reward. */

export interface SaidSpec {
  readonly text: string;
  readonly group?: string;
  readonly reward?: number;
  /** id of the problem */
  readonly id?: number;
  readonly columns?: Readonly<Record<string, JsonValue>>;
  readonly rewards?: ScoredSample['rewards'];
}

/** A scored sample whose tokens are the characters of its text. */
export function said(spec: SaidSpec, next: () => number = numbers(3)): ScoredSample {
  const { text, group = 'a', reward = 0, id = 0, columns = {}, rewards } = spec;
  const made = sample({ group, reward, length: text.length, text }, next);
  const trajectory = { ...made.trajectory, prompt: { ...made.trajectory.prompt, id, columns } };
  return { ...made, trajectory, ...(rewards ? { rewards } : {}) };
}

export const saidBatch = (specs: readonly SaidSpec[]): RolloutBatch => {
  const next = numbers(3);
  return new RolloutBatch(specs.map((s) => said(s, next)));
};

/** 1 for the answer in the column `answer`, whatever confidence follows. */
export const exact: NamedReward = {
  name: 'exact',
  score: (_, completions, { answer }) => completions.map((c, i) => (extractAnswer(splitConfidence(c).text) === answer?.[i] ? 1 : 0)),
};

export const rejecting: PolicyService = {
  generate: () => Promise.reject(new Error('no policy')),
  logps: () => Promise.reject(new Error('no policy')),
  measure: () => Promise.reject(new Error('no policy')),
  nudged: () => Promise.reject(new Error('no policy')),
};

/** Answers 7 for sure behind reasoning that ends in 7, and is at a loss behind other reasoning. */
const sevenPolicy: PolicyService = {
  ...rejecting,
  logps: async (sequences) =>
    sequences.map(({ context, tokens }) => {
      const sure = tokenizer.decode(context).endsWith('7#');
      const hit = tokenizer.decode(tokens, { skip_special_tokens: true }) === '7';
      return Float64Array.from(tokens, () => (sure ? (hit ? 0 : -1e3) : -0.5));
    }),
};

export interface World {
  readonly inside: () => RolloutBatch;
  readonly elsewhere: () => RolloutBatch;
  readonly rewards?: readonly NamedReward[];
  readonly policy?: PolicyService;
}

const votes = (answer: string): RolloutBatch =>
  saidBatch([
    ...['#7', '1+6=7#7', '#3', '?'].map((text) => ({ text, columns: { answer }, reward: text.endsWith('#7') ? 1 : 0 })),
    ...['#1', '#7', '#7'].map((text) => ({ text, group: 'b', id: 1, columns: { answer }, reward: text === '#7' ? 1 : 0 })),
  ]);

const viewed = (first: readonly string[], second: readonly string[]): RolloutBatch =>
  saidBatch([
    ...first.map((text) => ({ text, columns: { view: 'original' } })),
    ...second.map((text) => ({ text, group: 'b', columns: { view: 'paraphrase' } })),
  ]);

const confident = (): RolloutBatch => saidBatch(['#7~9', '#7~1', '#3~5', '#7', '#3~x'].map((text) => ({ text, columns: { answer: '7' } })));

const scoredTwice = (): RolloutBatch =>
  saidBatch(
    ['#7', '1+6=7#7', '#3', '1+1#3', '#7', '#3'].map((text, i) => ({
      text,
      group: i < 4 ? 'a' : 'b',
      columns: { answer: '7' },
      reward: text.endsWith('7') ? 1 : 0,
      rewards: { exact: text.endsWith('7') ? 1 : 0, model: text.length / 10 },
    })),
  );

/** By the names of `limitInputs`. */
export const worlds: Readonly<Record<string, World>> = {
  'majority that is right': { inside: () => votes('7'), elsewhere: () => votes('3'), rewards: [exact] },
  'confidences behind answers': { inside: confident, elsewhere: confident, rewards: [exact] },
  'verifier and dense scorer': {
    inside: scoredTwice,
    elsewhere: scoredTwice,
    rewards: [exact, { name: 'model', weight: 0, score: (_, completions) => completions.map((c) => c.length / 10) }],
  },
  'certain answers': {
    inside: () => saidBatch(['7', '8'].map((answer) => ({ text: '1+6=7#7', columns: { answer } }))),
    elsewhere: () => saidBatch(['7', '8'].map((answer) => ({ text: '1+6#7', columns: { answer } }))),
    rewards: [exact],
    policy: sevenPolicy,
  },
  'uniform policy': {
    inside: () => saidBatch([{ text: '#7' }, { text: '#3' }]),
    elsewhere: () => saidBatch([{ text: '#7!' }, { text: '#3' }]),
    rewards: [{ name: 'nothing', score: (_, completions) => completions.map(() => 0) }],
    // knows something at ! alone
    policy: {
      ...rejecting,
      measure: async (sequences) =>
        sequences.map(({ tokens }) => Float64Array.from(tokens, (t) => (t === tokenizer.encode('!')[0] ? 1 : 0))),
    },
  },
  'no process rewards': {
    inside: mixedBatch,
    elsewhere: () =>
      new RolloutBatch(
        mixedBatch().samples.map((s, i) => ({
          ...s,
          token_rewards: Float64Array.from(s.trajectory.segments[0]?.tokens ?? [], (_, t) => i - t),
        })),
      ),
  },
  'views that agree': {
    inside: () => viewed(['#7', '#7', '#3'], ['#3', '#7', '#7']),
    elsewhere: () => viewed(['#7', '#7', '#3'], ['#3', '#3', '#3']),
  },
  'no pairs': {
    inside: () => saidBatch(['#A', '#B'].map((text) => ({ text, columns: { answer: 'A' } }))),
    elsewhere: () => saidBatch(['#A', '#B'].map((text) => ({ text, columns: { answer: 'A', chosen: '7', rejected: '3' } }))),
    rewards: [exact],
  },
  'one-character steps': {
    inside: () => saidBatch(['7', '8'].map((text) => ({ text, columns: { expert_action: '7' } }))),
    elsewhere: () => saidBatch(['3+4=7', '3+4=8'].map((text) => ({ text, columns: { expert_action: '3+4=7' } }))),
    rewards: [
      { name: 'same', score: (_, completions, { expert_action }) => completions.map((c, i) => (c === expert_action?.[i] ? 1 : 0)) },
    ],
  },
};
