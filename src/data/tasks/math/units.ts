import { type Rational, rational } from './rational.js';

export interface Unit {
  readonly dimension: string;
  readonly factor: Rational;
}

/** [dimension, factor as numerator/denominator, names]; plurals in s are found too */
const table: readonly (readonly [string, number, number, string])[] = [
  ['length', 1, 1000, 'mm millimeter millimetre'],
  ['length', 1, 100, 'cm centimeter centimetre'],
  ['length', 1, 1, 'm meter metre'],
  ['length', 1000, 1, 'km kilometer kilometre'],
  ['length', 254, 10000, 'inch inches'],
  ['length', 3048, 10000, 'ft foot feet'],
  ['length', 9144, 10000, 'yd yard'],
  ['length', 1609344, 1000, 'mi mile'],
  ['mass', 1, 1000, 'mg milligram'],
  ['mass', 1, 1, 'g gram'],
  ['mass', 1000, 1, 'kg kilogram kilo'],
  ['time', 1, 1, 's sec second'],
  ['time', 60, 1, 'min minute'],
  ['time', 3600, 1, 'h hr hour'],
  ['time', 86400, 1, 'day'],
  ['time', 604800, 1, 'week'],
  ['volume', 1, 1000, 'ml milliliter millilitre'],
  ['volume', 1, 1, 'l liter litre'],
  ['money', 1, 100, 'cent'],
  ['money', 1, 1, 'dollar usd buck'],
];

const units: ReadonlyMap<string, Unit> = new Map(
  table.flatMap(([dimension, n, d, names]) => {
    const factor = rational(BigInt(n), BigInt(d)) as Rational;
    return names.split(' ').flatMap((name): [string, Unit][] => {
      const unit = { dimension, factor };
      return name.length > 2
        ? [
            [name, unit],
            [`${name}s`, unit],
          ]
        : [[name, unit]];
    });
  }),
);

/** The unit that a word names; undefined for words that are none (apples). */
export const unitOf = (word: string): Unit | undefined => units.get(word.toLowerCase());
