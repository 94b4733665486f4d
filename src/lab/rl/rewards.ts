import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { basename, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { createJiti } from 'jiti';
import { datasetFromRows } from '../../data/dataset/memory.js';
import { encodeExamples } from '../../data/examples/index.js';
import { mathVerifier } from '../../data/tasks/index.js';
import { openModel, requireTokenizer } from '../../infer/index.js';
import { VitroError } from '../../tensor/errors.js';
import { RewardScorer } from '../../train/reward.js';
import { loadRewardHead } from '../../train/rewardFolder.js';
import type { NamedReward, RewardFunction } from '../../train/rl/contract.js';
import { nearestName, UsageError } from '../names.js';
import { weightsHash } from '../training/weights.js';
import type { RlConfig } from './config.js';

/** Rewards of a run, and what names them: a changed file is another run. */
export interface Rewards {
  readonly rewards: readonly NamedReward[];
  readonly fingerprint: readonly Readonly<Record<string, unknown>>[];
  dispose(): void;
}

type Loaded = readonly { readonly reward: NamedReward; readonly fingerprint: Readonly<Record<string, unknown>> }[];

const textOf = (value: unknown): string =>
  typeof value === 'function' ? 'a function' : (JSON.stringify(value)?.slice(0, 80) ?? String(value));

/** The user's function with errors that name it. */
const guarded =
  (name: string, where: string, score: RewardFunction): RewardFunction =>
  async (prompts, completions, columns) => {
    let values: unknown;
    try {
      values = await score(prompts, completions, columns);
    } catch (error) {
      const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
      throw new VitroError(`reward ${name} (${where}) failed: ${stack}`, { cause: error });
    }
    const rule = `return a list with a number, or null where it does not apply, for each of the ${completions.length} completions`;
    if (!Array.isArray(values)) throw new VitroError(`reward ${name} (${where}) returned ${textOf(values)}; ${rule}`);
    const list = values as unknown[];
    if (list.length !== completions.length)
      throw new VitroError(`reward ${name} (${where}) returned ${list.length} values for ${completions.length} completions; ${rule}`);
    const wrong = list.findIndex((v) => v !== null && (typeof v !== 'number' || !Number.isFinite(v)));
    if (wrong >= 0)
      throw new VitroError(
        `reward ${name} (${where}) returned ${textOf(list[wrong])} for the completion ${JSON.stringify(completions[wrong])}; ${rule}`,
      );
    return list as (number | null)[];
  };

/** The functions that a module of the user's exports: the one of the given name, else the default export, else all. */
function exportedFunctions(
  module: Readonly<Record<string, unknown>>,
  path: string,
  wanted: string | undefined,
): [string, RewardFunction][] {
  const own = Object.entries(module).filter(([name]) => name !== '__esModule');
  const functions = own.filter((entry): entry is [string, RewardFunction] => typeof entry[1] === 'function');
  const usual = functions.find(([name]) => name === 'default');
  const file = basename(path).replace(/\.[cm]?[jt]s$/, '');
  if (wanted !== undefined) {
    const found = functions.find(([name]) => name === wanted);
    const near = nearestName(
      wanted,
      functions.map(([name]) => name),
    );
    if (!found)
      throw new UsageError(
        `reward_funcs: ${path} exports no function ${wanted}${near ? `; did you mean ${near}?` : ''} It exports ${own.map(([name]) => name).join(', ') || 'nothing'}`,
      );
    return [found];
  }
  if (usual) return [[file, usual[1]]];
  if (functions.length === 0)
    throw new UsageError(
      `reward_funcs: ${path} exports no function (it exports ${own.map(([name, value]) => `${name}: ${typeof value}`).join(', ') || 'nothing'}); write: export default (prompts, completions, columns) => completions.map((c) => ...)`,
    );
  return functions;
}

/** Runs a file of the user's and takes its functions. */
async function fromFile(spec: string): Promise<Loaded> {
  const [path = '', wanted] = spec.split('#');
  const content = await readFile(path).catch((error: Error) => {
    throw new UsageError(`reward_funcs: ${error.message}`);
  });
  const jiti = createJiti(import.meta.url, { moduleCache: false, fsCache: false });
  const module: unknown = await jiti.import(pathToFileURL(resolve(path)).href).catch((error: Error) => {
    throw new UsageError(`reward_funcs: ${path} does not load: ${error.message}`);
  });
  const sha256 = createHash('sha256').update(content).digest('hex');
  const record = typeof module === 'object' && module !== null ? (module as Readonly<Record<string, unknown>>) : { default: module };
  return exportedFunctions(record, path, wanted).map(([name, score]) => ({
    reward: { name, score: guarded(name, path, score) },
    fingerprint: { name, sha256 },
  }));
}

/** A reward model of "vitro reward" as a function: what its head says of prompt and completion. */
async function fromFolder(folder: string, threads: number | undefined): Promise<{ loaded: Loaded; dispose: () => void }> {
  const opened = await openModel(folder);
  const { patched, own, json } = await loadRewardHead(opened.path, opened.model);
  if (json.data === 'steps')
    throw new UsageError(`reward_funcs: ${folder} judges steps (${json.reward_model}); a reward of whole completions is wanted`);
  const tokenizer = requireTokenizer(opened);
  const scorer = new RewardScorer(opened.model, patched, { params: opened.params, own }, threads === undefined ? {} : { threads });
  const context = Math.min(opened.model.context, json.max_length);
  const score: RewardFunction = async (prompts, completions) => {
    // as in training: the completion ends where the text ends, so that the head reads its last token
    const rows = completions.map((completion, i) => ({ prompt: prompts[i] ?? '', completion }));
    const options = { kind: 'sft', max_length: context, completion_only_loss: false } as const;
    const set = await encodeExamples(datasetFromRows(rows), tokenizer, options);
    if (set.dropped > 0) throw new VitroError(`reward ${folder}: ${set.dropped} completions leave nothing to judge`);
    const longest = Math.max(...set.examples.map(({ sequences }) => sequences[0]?.ids.length ?? 0));
    const length = Math.min(context, Math.ceil(longest / 32) * 32);
    return (await scorer.score(set, { batch_size: Math.min(16, set.examples.length), context: length })).map(([value = 0]) => value);
  };
  const name = basename(resolve(folder));
  const sha256 = weightsHash({ ...opened.params, head: own });
  return { loaded: [{ reward: { name, score }, fingerprint: { name, sha256 } }], dispose: () => scorer.dispose() };
}

/** 1 where the completion's final answer equals the column answer by value. */
const math: NamedReward = {
  name: 'math',
  score: (_, completions, { answer }) =>
    completions.map((completion, i) => {
      const gold = answer?.[i];
      return typeof gold === 'string' || typeof gold === 'number' ? mathVerifier(completion, String(gold)) : null;
    }),
};

const listOf = (value: string | readonly string[]): string[] =>
  [value]
    .flat()
    .flatMap((part) => part.split(','))
    .map((part) => part.trim())
    .filter((part) => part !== '');

function weightsOf({ reward_weights }: RlConfig, count: number): number[] {
  if (reward_weights === undefined) return Array.from({ length: count }, () => 1);
  const parts =
    typeof reward_weights === 'string'
      ? reward_weights.split(',').map((part) => Number(part.trim() || Number.NaN))
      : [reward_weights].flat();
  if (parts.length !== count || !parts.every(Number.isFinite))
    throw new UsageError(
      `reward_weights: ${JSON.stringify(reward_weights)} is not allowed; it must be ${count} number${count === 1 ? '' : 's'}, one for each reward`,
    );
  return parts;
}

/** The rewards that a configuration names. Files are run as the user's own code. */
export async function rewardsOf(config: RlConfig, verifier: NamedReward | undefined): Promise<Rewards> {
  if (config.reward_funcs === undefined && !verifier)
    throw new UsageError(
      'no reward; give reward_funcs: a file, e.g. --reward_funcs rewards.ts, a folder of "vitro reward", or math for a column answer',
    );
  const found: Loaded[number][] = [];
  const disposers: (() => void)[] = [];
  for (const spec of listOf(config.reward_funcs ?? 'verifier')) {
    const isFolder = await stat(spec).then(
      (info) => info.isDirectory(),
      () => false,
    );
    if (spec === 'verifier') {
      if (!verifier) throw new UsageError('reward_funcs: verifier is that of a task; give task, or another reward');
      found.push({ reward: verifier, fingerprint: { name: 'verifier' } });
    } else if (spec === 'math') found.push({ reward: math, fingerprint: { name: 'math' } });
    else if (isFolder) {
      const { loaded, dispose } = await fromFolder(spec, config.threads);
      found.push(...loaded);
      disposers.push(dispose);
    } else found.push(...(await fromFile(spec)));
  }
  const weights = weightsOf(config, found.length);
  const names = found.map(({ reward }) => reward.name);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) throw new UsageError(`reward_funcs: two rewards are named ${twice}; rename one of the files or functions`);
  return {
    rewards: found.map(({ reward }, i) => ({ ...reward, weight: weights[i] as number })),
    fingerprint: found.map(({ fingerprint }, i) => ({ ...fingerprint, weight: weights[i] })),
    dispose: () => {
      for (const dispose of disposers) dispose();
    },
  };
}
