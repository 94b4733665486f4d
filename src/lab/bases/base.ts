import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cacheDir } from '../../data/cacheDir.js';
import type { TaskDocument } from '../../data/tasks/index.js';
import { taskTokenizer } from '../../data/tasks/index.js';
import {
  type CausalModel,
  type DecoderConfig,
  decoderModel,
  loadModel,
  type SerializableTokenizer,
  saveModel,
  saveTokenizer,
} from '../../models/index.js';
import type { ParamTree } from '../../nn/param.js';
import type { NDArray } from '../../tensor/array.js';
import { hashOf } from '../runStore.js';
import { type BaseTraining, trainBase } from './train.js';

/** A small model that comparisons of post-training start from: a decoder fine-tuned on worked solutions of generated tasks. */
export interface BaseModel {
  readonly id: string;
  readonly summary: string;
  readonly config: DecoderConfig;
  readonly training: BaseTraining;
  /** names everything that determines the documents */
  readonly data: Readonly<Record<string, unknown>>;
  documents(): readonly TaskDocument[];
  /** the base that training goes on from; default: random weights */
  readonly start?: BaseModel;
}

/** A base model with its weights. */
export interface LoadedBase {
  readonly model: CausalModel;
  readonly config: DecoderConfig;
  readonly params: ParamTree<NDArray>;
  readonly tokenizer: SerializableTokenizer;
  /** digest of what made it */
  readonly identity: string;
}

/** Digest of everything that a base's weights follow from, apart from the machine's rounding. */
export const baseIdentity = ({ id, config, training, data, start }: BaseModel): string =>
  hashOf({ version: 1, id, config, training, data, ...(start ? { start: baseIdentity(start) } : {}) });

/** Bases that come with the package. */
const shipped = fileURLToPath(new URL('../../../assets/bases/', import.meta.url));

const identityFile = 'base.json';

async function identityAt(folder: string): Promise<string | undefined> {
  try {
    return (JSON.parse(await readFile(join(folder, identityFile), 'utf8')) as { identity?: string }).identity;
  } catch {
    // not there, or damaged: it is made again
    return undefined;
  }
}

/** Trains a base and writes it as a Hugging Face folder of half precision, so that its weights are the same wherever they are read from. */
export async function makeBase(
  base: BaseModel,
  folder: string,
  hooks: { readonly threads?: number; readonly onProgress?: (text: string) => void } = {},
): Promise<void> {
  const { id, config, training } = base;
  const tokenizer = taskTokenizer();
  const start = base.start ? (await loadBase(base.start, hooks)).params : undefined;
  const began = performance.now();
  const params = await trainBase({
    config,
    tokenizer,
    training,
    documents: base.documents(),
    ...(start ? { start } : {}),
    ...(hooks.threads ? { threads: hooks.threads } : {}),
    onProgress: (step, steps, loss) => {
      const left = ((performance.now() - began) / 1000 / step) * (steps - step);
      hooks.onProgress?.(`base model ${id}: step ${step} of ${steps}, loss ${loss.toFixed(3)}, ${Math.ceil(left)} s left`);
    },
  });
  // a name of its own: another process may be making the same base
  const temporary = `${folder}.${process.pid}.tmp`;
  await rm(temporary, { recursive: true, force: true });
  await mkdir(temporary, { recursive: true });
  const { bos_token_id, eos_token_id, pad_token_id } = tokenizer;
  await saveModel(temporary, { config, params, dtype: 'f16', tokens: { bos_token_id, eos_token_id, pad_token_id } });
  await saveTokenizer(temporary, tokenizer);
  await writeFile(
    join(temporary, identityFile),
    `${JSON.stringify({ id, summary: base.summary, identity: baseIdentity(base), training, data: base.data }, null, 2)}\n`,
  );
  await rm(folder, { recursive: true, force: true });
  await rename(temporary, folder);
}

const loading = new Map<string, Promise<LoadedBase>>();

/** A base model: the one that comes with the package, else the one in the cache folder, else trained now and kept there. Its weights are shared: copy before training. */
export function loadBase(
  base: BaseModel,
  hooks: { readonly threads?: number; readonly onProgress?: (text: string) => void } = {},
): Promise<LoadedBase> {
  const identity = baseIdentity(base);
  const known = loading.get(identity);
  if (known) return known;
  const made = openOrMake(base, identity, hooks);
  loading.set(identity, made);
  made.catch(() => loading.delete(identity));
  return made;
}

async function openOrMake(base: BaseModel, identity: string, hooks: Parameters<typeof makeBase>[2]): Promise<LoadedBase> {
  const own = join(shipped, base.id);
  const cached = join(cacheDir(), 'bases', `${base.id}-${identity.slice(0, 16)}`);
  const folder = (await identityAt(own)) === identity ? own : cached;
  if ((await identityAt(folder)) !== identity) await makeBase(base, cached, hooks);
  const { params } = await loadModel(folder);
  return { model: decoderModel(base.config), config: base.config, params, tokenizer: taskTokenizer(), identity };
}
