import type { Draws } from '../probes/draws.js';

/** A uniform integer of exactly `digits` digits; of one digit, 0 counts too. */
export function drawNumber(draws: Draws, digits: number): number {
  const low = digits === 1 ? 0 : 10 ** (digits - 1);
  return low + draws.below(10 ** digits - low);
}

/** Digit at place `place` (0 = ones) of a non-negative integer. */
export const digitAt = (value: number, place: number): number => Math.floor(value / 10 ** place) % 10;

/**
 * Two operands, of which one has `digits` digits and the other between `least` and as many: either may be the longer one.
 */
export function drawOperands(draws: Draws, digits: number, least: number): [number, number] {
  const other = least + draws.below(digits - least + 1);
  const pair: [number, number] = [drawNumber(draws, digits), drawNumber(draws, other)];
  return draws.below(2) ? [pair[1], pair[0]] : pair;
}
