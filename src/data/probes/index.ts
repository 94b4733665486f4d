import { copying, selectiveCopying } from './copying.js';
import { mqar } from './mqar.js';
import { needle } from './needle.js';
import { parity } from './parity.js';
import { pathStar } from './pathStar.js';
import type { Probe } from './probe.js';
import { regression } from './regression.js';
import { wordProblem } from './wordProblem.js';

export { copying, selectiveCopying } from './copying.js';
export { isHeldOut, type LetterQuestion, letterBatch, letterDocument, letterQuestion, letterQuestions, scoreLetters } from './letters.js';
export { type MqarSettings, mqar } from './mqar.js';
export { type NeedleSettings, needle } from './needle.js';
export { parity } from './parity.js';
export { type PathStarSettings, pathStar } from './pathStar.js';
export { type Probe, probeEvaluation, probeSource } from './probe.js';
export { type RegressionSettings, regression } from './regression.js';
export { argmaxPredictions, type Score, scorePredictions, sumScores } from './score.js';
export { wordProblem } from './wordProblem.js';

/** Every probe with its default settings, by id. */
export const probes: Readonly<Record<string, () => Probe>> = {
  mqar: () => mqar(),
  parity: () => parity(),
  'word-problem': () => wordProblem(),
  copying: () => copying(),
  'selective-copying': () => selectiveCopying(),
  regression: () => regression(),
  'path-star': () => pathStar(),
  needle: () => needle(),
};
