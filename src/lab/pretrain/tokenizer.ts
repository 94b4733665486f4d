import { createHash } from 'node:crypto';
import { mkdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheDir } from '../../data/cacheDir.js';
import { byteTokenizer, loadTokenizer, type SerializableTokenizer, saveTokenizer, trainByteLevelBpe } from '../../models/index.js';
import { UsageError } from '../names.js';
import type { TrainingText } from './texts.js';

/** Ends documents, where there are several or the tokenizer is trained. */
const endOfText = '<|endoftext|>';

/** Characters of each text that a tokenizer is trained on, at most. */
const maxCharacters = 32 << 20;

async function trainingStrings(texts: readonly TrainingText[]): Promise<string[]> {
  const out: string[] = [];
  for (const { train, text_column } of texts) {
    let characters = 0;
    for await (const row of train.rows()) {
      const text = row[text_column];
      if (typeof text !== 'string') continue;
      out.push(text);
      characters += text.length;
      if (characters >= maxCharacters) break;
    }
  }
  return out;
}

/** A byte-level BPE of the training texts, trained once and kept in the cache folder under what determines it. */
async function trained(
  vocab_size: number,
  texts: readonly TrainingText[],
  onStage: (what: string) => void,
): Promise<SerializableTokenizer> {
  const content = { version: 1, vocab_size, maxCharacters, texts: texts.map(({ train, text_column }) => [train.fingerprint, text_column]) };
  const key = createHash('sha256').update(JSON.stringify(content)).digest('hex');
  const folder = join(cacheDir(), 'tokenizers', key);
  if (await stat(folder).catch(() => undefined)) return loadTokenizer(folder);
  onStage(`training a tokenizer of ${vocab_size} ids`);
  const tokenizer = trainByteLevelBpe(await trainingStrings(texts), { vocab_size, special_tokens: [endOfText], eos_token: endOfText });
  const building = `${folder}.${process.pid}`;
  try {
    await mkdir(building, { recursive: true });
    await saveTokenizer(building, tokenizer);
    // another process may have put its own there, which is equal
    await rename(building, folder).catch(() => undefined);
  } finally {
    await rm(building, { recursive: true, force: true });
  }
  return tokenizer;
}

/** The tokenizer that a name stands for: byte, train:VOCABULARY, or where one lies. */
export async function tokenizerOf(
  name: string,
  texts: readonly TrainingText[],
  onStage: (what: string) => void,
): Promise<SerializableTokenizer> {
  if (name === 'byte') {
    const single = texts.length === 1 && texts[0]?.single === true;
    return single ? byteTokenizer() : byteTokenizer({ special_tokens: [endOfText], eos_token: endOfText });
  }
  const vocabulary = /^train:(.*)$/.exec(name)?.[1];
  if (vocabulary === undefined) return loadTokenizer(name);
  const size = Number(vocabulary);
  if (!(Number.isInteger(size) && size > 256))
    throw new UsageError(
      `tokenizer: "${name}" is not allowed; train:N trains a vocabulary of N ids, of which 257 are bytes and the end of text`,
    );
  return trained(size, texts, onStage);
}
