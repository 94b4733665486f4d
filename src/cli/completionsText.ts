import type { CompletionRow } from '../train/rl/log.js';
import { table } from './format.js';

/** A text on one line, as JSON writes it, cut to a width. */
function oneLine(text: unknown, width: number): string {
  const line = JSON.stringify(String(text)).slice(1, -1);
  return line.length <= width ? line : `${line.slice(0, Math.max(1, width - 3))}...`;
}

const number = (value: unknown, digits: number): string => (typeof value === 'number' ? value.toFixed(digits) : '-');

/** A few completions of a step: the best and the worst first, then as they came. */
export function completionsText(step: number, rows: readonly CompletionRow[], count: number, width: number): string {
  const sorted = [...rows].sort((a, b) => Number(b.reward) - Number(a.reward));
  const picked = [...new Set([sorted[0], sorted.at(-1), ...rows])].filter((row) => row !== undefined).slice(0, count);
  const room = Math.max(20, Math.floor((Math.min(width, 160) - 34) / 2));
  const body = picked.map((row) => [
    oneLine(row.prompt, room),
    oneLine(row.completion, room),
    number(row.reward, 3),
    number(row.advantage, 3),
    `${String(row.length)} ${String(row.finish_reason)}`,
  ]);
  return `completions of step ${step}\n${table(['prompt', 'completion', 'reward', 'advantage', 'tokens'], body, { left: [0, 1, 4] })}`;
}

const whats: Readonly<Record<string, string>> = {
  decode: 'generation, a token each',
  prefill: 'generation, the prompts',
  score: 'log-probabilities and predictions',
  train: 'forward, backward and optimizer',
};

/** Where the time of steps went: compiled functions, and what is outside of them. */
export function profileText({ steps = 0, evaluation = 0, ...inside }: Readonly<Record<string, number>>): string {
  const entries = Object.entries(inside).sort(([, a], [, b]) => b - a);
  const outside = Math.max(0, steps - entries.reduce((sum, [, seconds]) => sum + seconds, 0));
  const share = (seconds: number): string => `${((100 * seconds) / Math.max(steps, 1e-9)).toFixed(1)}%`;
  const row = (name: string, seconds: number, what: string): string[] => [name, seconds.toFixed(2), share(seconds), what];
  const body = [
    ...entries.map(([name, seconds]) => row(name, seconds, whats[name] ?? '')),
    row('outside', outside, 'everything that is not a compiled function: sampling, rewards, packing, checkpoints aside'),
    row('steps', steps, 'compilation included, which happens once'),
  ];
  const more = evaluation > 0 ? `\nevaluations took ${evaluation.toFixed(2)} s beside` : '';
  return `${table(['where', 'seconds', 'share', ''], body, { left: [0, 3] })}${more}`;
}
