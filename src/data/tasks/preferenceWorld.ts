import { VitroError } from '../../tensor/errors.js';
import { foldIn, randomKey } from '../../tensor/random/threefry.js';
import { Draws } from '../probes/draws.js';
import { extractAnswer, writeSolution } from './answer.js';
import { type TaskOptions, taskDataset } from './dataset.js';
import { flag, integer, readKnobs, real } from './knobs.js';
import { worldDraws } from './names.js';
import { defineTask, type TaskDataset, type TaskEntry } from './task.js';

/** Two-letter openings and third letters that make up the lexicon: 24 words with a hidden attribute and sign, 6 fillers with none. */
const openings = ['ba', 'di', 'fu', 'ke', 'lo', 'mi'] as const;
const endings = 'gnrst';

/** The words of a lexicon of single letters. */
const letters = 'abcdefghijklmnopqrstuvwxyzABCD';

const attributeCount = 4;
const wordCount = 24;
const userCount = 16;
const maxFillers = 6;

interface World {
  readonly words: readonly string[];
  readonly fillers: readonly string[];
  /** attribute and sign of word i */
  readonly meaning: readonly { readonly attribute: number; readonly sign: 1 | -1 }[];
  readonly tastes: readonly (readonly number[])[];
}

/** Weights of the attributes: 1 or 2, liked or disliked; none is zero. */
const drawTaste = (draws: Draws): number[] => Array.from({ length: attributeCount }, () => [-2, -1, 1, 2][draws.below(4)] as number);

function makeWorld(world: number, single: boolean): World {
  const draws = worldDraws(world, 3);
  const all = single ? [...letters] : openings.flatMap((opening) => [...endings].map((ending) => opening + ending));
  const shuffled = draws.distinct(all.length, all.length).map((i) => all[i] as string);
  return {
    words: shuffled.slice(0, wordCount),
    fillers: shuffled.slice(wordCount),
    meaning: Array.from({ length: wordCount }, (_, i) => ({
      attribute: i % attributeCount,
      sign: i % (2 * attributeCount) < attributeCount ? 1 : -1,
    })),
    tastes: Array.from({ length: userCount }, () => drawTaste(draws)),
  };
}

const made = new Map<string, World>();

function worldOf(world: number, single: boolean): World {
  const name = `${world} ${single}`;
  const found = made.get(name) ?? makeWorld(world, single);
  made.set(name, found);
  return found;
}

/** The words of a world with what they stand for, and its fillers, which stand for nothing: what studies need that change responses. */
export function preferenceLexicon(
  world: number,
  single = false,
): {
  readonly words: readonly { readonly word: string; readonly attribute: number; readonly sign: 1 | -1 }[];
  readonly fillers: readonly string[];
} {
  const { words, meaning, fillers } = worldOf(world, single);
  return { words: words.map((word, i) => ({ word, ...(meaning[i] as World['meaning'][number]) })), fillers };
}

/** What a word is worth to a user with this taste. */
function worth(world: World, taste: readonly number[], word: string): number {
  const { attribute, sign } = world.meaning[world.words.indexOf(word)] ?? { attribute: -1, sign: 1 };
  return (taste[attribute] ?? 0) * sign;
}

interface Problem {
  readonly world: World;
  readonly taste: readonly number[];
  readonly offered: readonly string[];
  readonly maxWords: number;
}

const problemOf = ({ metadata }: TaskEntry): Problem => ({
  world: worldOf(metadata.world as number, metadata.single_letters === true),
  taste: metadata.taste as number[],
  offered: metadata.offered as string[],
  maxWords: metadata.max_words as number,
});

/** Least and greatest utility of a legal response: one word at least, max_words at most, the worst or the best. */
function range({ world, taste, offered, maxWords }: Problem): [least: number, greatest: number] {
  const sorted = offered.map((w) => worth(world, taste, w)).sort((a, b) => b - a);
  const best = (values: number[]): number => values.slice(0, maxWords).reduce((sum, v, i) => (i === 0 || v > 0 ? sum + v : sum), 0);
  return [-best(sorted.map((v) => -v).reverse()), best(sorted)];
}

/**
 * The hidden utility of a response, the sum of its words' worth to the user; fillers are worth nothing. Null where the response is not one: a word that was
 * not offered, repeated words, too many words, or none.
 */
export function preferenceUtility(answer: string, entry: TaskEntry): number | null {
  const problem = problemOf(entry);
  const written = answer.trim().split(' ');
  const words = written.filter((w) => !problem.world.fillers.includes(w));
  const legal = words.every((w) => problem.offered.includes(w)) && new Set(words).size === words.length;
  if (!legal || words.length === 0 || words.length > problem.maxWords || written.length - words.length > maxFillers) return null;
  return words.reduce((sum, w) => sum + worth(problem.world, problem.taste, w), 0);
}

/** What each attribute adds to the utility of a response; null where the response is not one. */
export function preferenceRatings(answer: string, entry: TaskEntry): number[] | null {
  if (preferenceUtility(answer, entry) === null) return null;
  const { world, taste } = problemOf(entry);
  const ratings = new Array<number>(attributeCount).fill(0);
  for (const word of answer.trim().split(' ')) {
    const attribute = world.meaning[world.words.indexOf(word)]?.attribute;
    if (attribute !== undefined) ratings[attribute] = (ratings[attribute] as number) + worth(world, taste, word);
  }
  return ratings;
}

/** The utility's place between the worst and the best response to this prompt; 0 for what is no response. */
function score(answer: string, entry: TaskEntry): number {
  const utility = preferenceUtility(answer, entry);
  if (utility === null) return 0;
  const [least, greatest] = range(problemOf(entry));
  return (utility - least) / (greatest - least);
}

/**
 * Users with hidden tastes, words with hidden attributes: `u3:bag din fus ket=` asks for the offered words that user 3 likes. The utility is linear in the
 * attributes; the score is its place between the worst and the best response. With `shots`, the user has no name but shows earlier choices,
 * `bag>din`, from which the taste must be inferred; tastes can then be held out.
 */
export const preferenceWorld = defineTask({
  id: 'preference-world',
  summary: 'responses of words with hidden attributes to users with hidden tastes; the score is the true utility',
  difficulty: { counts: 'words offered', min: 3, max: 10, from: 3, to: 6 },
  knobs: {
    world: integer(0, 0, 2 ** 31, 'number of the world: its lexicon and its users'),
    single_letters: flag(false, 'words are single letters, which small models learn to take from the prompt much sooner'),
    max_words: integer(3, 2, 5, 'most words of a response, fillers apart'),
    shots: integer(0, 0, 12, 'earlier choices shown; 0 names one of the 16 users instead'),
  },
  alphabet: 'abcdefghijklmnopqrstuvwxyzABCD0123456789-:=> ;#',
  holdsOutCombinations: true,
  draw(draws, count, { world: number, max_words, shots, single_letters }) {
    const world = worldOf(number, single_letters);
    const user = draws.below(userCount);
    const taste = shots ? drawTaste(draws) : (world.tastes[user] as number[]);
    const offered = draws.distinct(count, wordCount).map((i) => world.words[i] as string);
    const value = (word: string): number => worth(world, taste, word);
    const choices = Array.from({ length: shots }, () => {
      const pair = draws.distinct(2, wordCount).map((i) => world.words[i] as string);
      return pair.sort((a, b) => value(b) - value(a)) as [string, string];
    }).filter(([a, b]) => value(a) > value(b));
    if (shots && choices.length === 0) return null;
    const who = shots ? choices.map(([a, b]) => `${a}>${b}`).join(' ') : `u${user}`;
    const prompt = `${who}:${offered.join(' ')}=`;
    return {
      identity: prompt,
      ...(shots ? { combinations: [taste.join(' ')] } : {}),
      build() {
        const ranked = [...offered].sort((a, b) => value(b) - value(a));
        const best = ranked.filter((w, i) => i < max_words && (i === 0 || value(w) > 0));
        return {
          prompt,
          steps: offered.map((w) => `${w}:${value(w)}`),
          answer: best.join(' '),
          metadata: { world: number, single_letters, user: shots ? null : user, taste, offered, max_words },
        };
      },
    };
  },
  score,
});

const pairKnobs = {
  length_cue: real(0.5, 0, 1, 'how often the longer response is the chosen one, by fillers alone; 0.5 is no cue'),
  flip: real(0, 0, 1, 'share of labels that are turned round'),
  temperature: real(0, 0, 100, 'of the Bradley-Terry choice between true utilities; 0 takes the better one'),
  min_margin: real(1, 0, 20, 'least difference of the true utilities, as far as the prompt allows; 0 allows ties'),
} as const;

export interface PreferencePair {
  readonly prompt: string;
  readonly chosen: string;
  readonly rejected: string;
  /** true utilities */
  readonly utilities: { readonly chosen: number; readonly rejected: number };
  /** whether noise chose the response of lower utility */
  readonly mislabelled: boolean;
  readonly entry: TaskEntry;
}

/** Pairs by number; the entries are those of `tasks`. */
export interface PreferencePairs {
  readonly length: number;
  readonly tasks: TaskDataset;
  pair(i: number): PreferencePair;
}

interface Response {
  readonly words: string[];
  readonly utility: number;
}

/** The key of pair i's responses and labels, apart from that of its prompt. */
const RESPONSES = 0x70616972;

/**
 * Labelled pairs of responses. The label follows the true utility, through a Bradley-Terry choice where `temperature` is not 0, and is turned round with
 * probability `flip`; then fillers, which are worth nothing, make the chosen response the longer one with probability `length_cue`.
 */
export function preferencePairs(
  options: TaskOptions<typeof preferenceWorld.knobs> & { readonly [K in keyof typeof pairKnobs]?: number },
): PreferencePairs {
  const { length_cue, flip, temperature, min_margin, ...rest } = options;
  const noise = readKnobs('preferencePairs', pairKnobs, { length_cue, flip, temperature, min_margin });
  const tasks = taskDataset(preferenceWorld, rest);
  const key = foldIn(randomKey(options.seed), RESPONSES);

  /** Two responses, content words only, as far apart as asked: of 200 draws the first that is, else the pair that is furthest apart. */
  function drawResponses(draws: Draws, entry: TaskEntry): readonly [Response, Response] {
    const { offered, maxWords } = problemOf(entry);
    const response = (): Response => {
      const count = 1 + draws.below(Math.min(maxWords, offered.length));
      const words = draws.distinct(count, offered.length).map((i) => offered[i] as string);
      return { words, utility: preferenceUtility(words.join(' '), entry) ?? 0 };
    };
    const same = (a: Response, b: Response): boolean => [...a.words].sort().join() === [...b.words].sort().join();
    let widest: readonly [Response, Response] | undefined;
    const apart = (pair = widest): number => (pair ? Math.abs(pair[0].utility - pair[1].utility) : -1);
    for (let attempt = 0; attempt < 200; attempt++) {
      const pair = [response(), response()] as const;
      if (!same(...pair) && apart(pair) > apart()) widest = pair;
      if (apart() >= noise.min_margin) break;
    }
    if (!widest) throw new VitroError(`preferencePairs: found no two different responses to ${entry.prompt}`);
    return widest;
  }

  /** The pair in the order of its label. */
  function label(draws: Draws, [a, b]: readonly [Response, Response]): readonly [chosen: Response, rejected: Response] {
    const { temperature, flip } = noise;
    const tie = a.utility === b.utility && draws.below(2) === 0;
    const firstWins =
      temperature === 0 ? tie || a.utility > b.utility : draws.unit() < 1 / (1 + Math.exp((b.utility - a.utility) / temperature));
    return firstWins !== draws.unit() < flip ? [a, b] : [b, a];
  }

  return {
    length: tasks.length,
    tasks,
    pair(i) {
      const entry = tasks.entry(i);
      const { world } = problemOf(entry);
      const draws = new Draws(foldIn(key, i));
      const [chosen, rejected] = label(draws, drawResponses(draws, entry));
      const [longer, shorter] = draws.unit() < noise.length_cue ? [chosen, rejected] : [rejected, chosen];
      const fillers = Math.max(0, shorter.words.length - longer.words.length) + 1 + draws.below(2);
      for (let n = 0; n < fillers; n++)
        longer.words.splice(draws.below(longer.words.length + 1), 0, world.fillers[draws.below(world.fillers.length)] as string);
      return {
        prompt: entry.prompt,
        chosen: writeSolution([], chosen.words.join(' ')),
        rejected: writeSolution([], rejected.words.join(' ')),
        utilities: { chosen: chosen.utility, rejected: rejected.utility },
        mislabelled: chosen.utility < rejected.utility,
        entry,
      };
    },
  };
}

/** The true utility of a completion as policies write it; null where it is no response. */
export function completionUtility(completion: string, entry: TaskEntry): number | null {
  const answer = extractAnswer(completion);
  return answer === null ? null : preferenceUtility(answer, entry);
}
