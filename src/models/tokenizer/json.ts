import { VitroError } from '../../tensor/errors.js';

export type JsonRecord = Readonly<Record<string, unknown>>;

export const isRecord = (value: unknown): value is JsonRecord => typeof value === 'object' && value !== null && !Array.isArray(value);

export function asRecord(value: unknown, what: string): JsonRecord {
  if (!isRecord(value)) throw new VitroError(`${what} is ${shown(value)}; expected an object`);
  return value;
}

export function asArray(value: unknown, what: string): readonly unknown[] {
  if (!Array.isArray(value)) throw new VitroError(`${what} is ${shown(value)}; expected an array`);
  return value;
}

export function asString(value: unknown, what: string): string {
  if (typeof value !== 'string') throw new VitroError(`${what} is ${shown(value)}; expected a string`);
  return value;
}

/** Ids are kept in Int32Arrays and embedding tables are never larger than this. */
const maxId = 2 ** 24;

export function asTokenId(value: unknown, what: string): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value >= maxId)
    throw new VitroError(`${what} is ${shown(value)}; expected a token id from 0 to ${maxId - 1}`);
  return value;
}

export function parseJson(text: string, what: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new VitroError(`${what} is not valid JSON: ${(error as Error).message}`, { cause: error });
  }
}

function shown(value: unknown): string {
  const text = value === undefined ? 'missing' : (JSON.stringify(value) ?? String(value));
  return text.length > 80 ? `${text.slice(0, 80)}...` : text;
}
