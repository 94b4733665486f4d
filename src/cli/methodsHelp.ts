import type { Method, Settings } from '../contracts/index.js';
import { wrap } from './wrap.js';

const settingText = ([key, value]: readonly [string, unknown]): string => `${key} ${JSON.stringify(value)}`;

/** Methods that a flag takes, a line each with its settings, for the help of a command. */
export function methodsHelp(methods: Readonly<Record<string, Pick<Method, 'summary' | 'defaults'>>>): string {
  const width = Math.max(...Object.keys(methods).map((id) => id.length));
  return Object.entries(methods)
    .map(([id, { summary, defaults }]) => {
      const settings = Object.entries(defaults);
      const text = settings.length === 0 ? summary : `${summary} (${settings.map(settingText).join(', ')})`;
      return `  ${id.padEnd(width)}  ${wrap(text, 118 - width, width + 4)}`;
    })
    .join('\n');
}

/** Names in lines of at most 118 characters. */
export const namesHelp = (names: readonly string[]): string => `  ${wrap(names.join(', '), 118, 2)}`;

/** Settings with their defaults in one paragraph. */
export const settingsHelp = (settings: Settings): string => `  ${wrap(Object.entries(settings).map(settingText).join(', '), 118, 2)}`;
