import { InvalidArgumentError } from 'commander';
import type { DownloadProgress } from '../models/checkpoint/hub.js';
import type { Io } from './io.js';

/** A whole number of at least 1. */
export function count(text: string): number {
  const n = Number(text);
  if (!Number.isInteger(n) || n < 1) throw new InvalidArgumentError('It must be a whole number of at least 1.');
  return n;
}

/** A whole number of at least 0. */
export function wholeNumber(text: string): number {
  const n = Number(text);
  if (text.trim() === '' || !Number.isSafeInteger(n) || n < 0) throw new InvalidArgumentError('It must be a whole number of at least 0.');
  return n;
}

/** Any finite number. */
export function number(text: string): number {
  const n = Number(text);
  if (text.trim() === '' || !Number.isFinite(n)) throw new InvalidArgumentError('It must be a number.');
  return n;
}

/** Gathers an option that may be given several times. */
export const collect = (text: string, all: readonly string[] = []): string[] => [...all, text];

/** Shows downloads of the hub: on a terminal a line that repaints itself, else a line for each file. */
export function downloadReporter({ stderr }: Io): (progress: DownloadProgress) => void {
  return ({ file, loaded, total, loadedOfAll, totalOfAll }) => {
    const share = totalOfAll > 0 ? Math.floor((100 * loadedOfAll) / totalOfAll) : 100;
    if (stderr.isTTY) stderr.write(`\r\u001b[Kdownloading ${file} ${share}%${loadedOfAll === totalOfAll ? '\n' : ''}`);
    else if (loaded === total) stderr.write(`downloaded ${file} (${share}%)\n`);
  };
}

/** Runs something that Ctrl-C stops. A second Ctrl-C ends the process. */
export async function interruptible<T>(run: (signal: AbortSignal) => Promise<T>): Promise<T | 'interrupted'> {
  const abort = new AbortController();
  const stop = (): void => abort.abort();
  process.once('SIGINT', stop);
  try {
    return await run(abort.signal);
  } catch (error) {
    if (abort.signal.aborted) return 'interrupted';
    throw error;
  } finally {
    process.off('SIGINT', stop);
  }
}
