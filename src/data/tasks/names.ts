import { foldIn, randomKey } from '../../tensor/random/threefry.js';
import { Draws } from '../probes/draws.js';

const consonants = 'bdfgklmnprstvz';
const vowels = 'aeiou';

/** All syllables of a consonant and a vowel, 70 of them. */
export const syllables: readonly string[] = [...consonants].flatMap((c) => [...vowels].map((v) => c + v));

/** The generator of one aspect of a fixed world: the same for every dataset over this world. */
export const worldDraws = (world: number, aspect: number): Draws => new Draws(foldIn(randomKey(world), aspect));
