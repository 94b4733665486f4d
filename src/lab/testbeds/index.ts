import { lookUp, UsageError } from '../names.js';
import { finetuneShakespeare, pretrainThenFinetune } from './finetune.js';
import { lettersTestbed } from './letters.js';
import { postTestbeds } from './post/index.js';
import {
  copyingTestbed,
  mqarTestbed,
  needleTestbed,
  parityTestbed,
  pathStarTestbed,
  regressionTestbed,
  wordProblemTestbed,
} from './probes.js';
import { rlTestbeds } from './rl/index.js';
import type { Testbed } from './testbed.js';
import { bytesOf, shakespeare, smoke, wikitextOf } from './text.js';

export type { Outcome, RunHooks, Testbed } from './testbed.js';

/** Testbeds without an argument, by id. */
export const testbeds: Readonly<Record<string, Testbed>> = Object.fromEntries(
  [
    shakespeare,
    finetuneShakespeare,
    pretrainThenFinetune,
    mqarTestbed,
    copyingTestbed,
    parityTestbed,
    wordProblemTestbed,
    regressionTestbed,
    pathStarTestbed,
    needleTestbed,
    lettersTestbed,
    smoke,
    ...postTestbeds,
    ...rlTestbeds,
  ].map((testbed) => [testbed.id, testbed]),
);

/** Testbeds that take an argument, `NAME:ARGUMENT`. */
const withArgument: Readonly<Record<string, { readonly summary: string; make(argument: string): Testbed }>> = {
  bytes: { summary: 'bytes:PATH, next byte of any file, with the model and budget of shakespeare', make: bytesOf },
  wikitext: {
    summary: 'wikitext:FOLDER or wikitext:hub, next byte of WikiText, with the model and budget of shakespeare',
    make: wikitextOf,
  },
};

/** What `--testbed` may name, for help texts. */
export const testbedSummaries: Readonly<Record<string, { readonly summary: string }>> = { ...testbeds, ...withArgument };

/** The testbed that a user names: `shakespeare` or `bytes:PATH`. Throws a UsageError with the nearest name. */
export function findTestbed(name: string): Testbed {
  const [kind, ...rest] = name.split(':') as [string, ...string[]];
  if (Object.hasOwn(testbeds, name)) return testbeds[name] as Testbed;
  const found = lookUp('testbed', kind, { ...withArgument, ...Object.fromEntries(Object.keys(testbeds).map((id) => [id, undefined])) });
  if (!found) throw new UsageError(`the testbed ${kind} takes no argument`);
  if (rest.length === 0 || rest[0] === '') throw new UsageError(`the testbed ${kind} needs an argument: ${kind}:PATH`);
  return found.make(rest.join(':'));
}
