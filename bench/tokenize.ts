import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { Tokenizer as LibraryTokenizer } from '@huggingface/tokenizers';
import { type SerializableTokenizer, tokenizerFromJson, trainByteLevelBpe, vocabularyAsJson } from 'vitro/models';
import { round } from './measure.js';

export interface TokenizeFigures {
  /** a fresh tokenizer on all of the text, and once more with its cache warm */
  readonly mb_per_s: number;
  readonly warm_mb_per_s: number;
  /** the first of these by processor time, which a busy machine disturbs less */
  readonly mb_per_cpu_s: number;
  /** @huggingface/tokenizers on the first part of the text, and how many times faster Vitro is there, fresh both, by processor time */
  readonly library_mb_per_s: number;
  readonly times_library: number;
  readonly tokens: number;
}

export interface TokenizeBench {
  readonly text_mb: number;
  /** bytes of English that are not repeats of others */
  readonly distinct_mb: number;
  /** a byte-level vocabulary of 1024 trained on tiny Shakespeare: how long that took, and its speed */
  readonly train_1024_ms: number;
  readonly trained_1024: TokenizeFigures;
  /** GPT-2's vocabulary, where the shared data is at hand */
  readonly gpt2: TokenizeFigures | null;
}

const shared = process.env.VITRO_SHARED ?? fileURLToPath(new URL('../../shared/data', import.meta.url));

const read = (path: string): Buffer => (extname(path) === '.gz' ? gunzipSync(readFileSync(path)) : readFileSync(path));
const textFiles = (folder: string): string[] =>
  existsSync(folder)
    ? readdirSync(folder, { withFileTypes: true, recursive: true })
        .filter((f) => f.isFile() && /\.txt(?:\.gz)?$/.test(f.name))
        .map((f) => join(f.parentPath, f.name))
        .sort()
    : [];

/** Text files of the shared data, else tiny Shakespeare; then again with their lines in other orders until there are enough bytes. */
function english(bytes: number): { text: string; distinct: number } {
  const found = textFiles(join(shared, 'text')).map((path) => read(path).toString());
  const texts = found.length > 0 ? found : [read(fileURLToPath(new URL('../assets/tinyshakespeare.txt.gz', import.meta.url))).toString()];
  const parts = [...texts];
  const distinct = Buffer.byteLength(texts.join(''));
  let state = 1;
  const random = (below: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state % below;
  };
  for (let have = distinct; have < bytes; ) {
    const lines = (texts[random(texts.length)] as string).split('\n');
    for (let i = lines.length - 1; i > 0; i--) {
      const j = random(i + 1);
      [lines[i], lines[j]] = [lines[j] as string, lines[i] as string];
    }
    parts.push(lines.join('\n'));
    have += Buffer.byteLength(parts.at(-1) ?? '');
  }
  return { text: parts.join('\n').slice(0, bytes), distinct: Math.min(distinct, bytes) };
}

function seconds(f: () => void): { wall: number; cpu: number } {
  const start = performance.now();
  const before = process.cpuUsage();
  f();
  const { user, system } = process.cpuUsage(before);
  return { wall: (performance.now() - start) / 1000, cpu: (user + system) / 1e6 };
}

function figures(make: () => SerializableTokenizer, text: string): TokenizeFigures {
  const megabytes = Buffer.byteLength(text) / 1e6;
  const part = text.slice(0, 500_000);
  const partMegabytes = Buffer.byteLength(part) / 1e6;
  // compiles the code, not the cache that is measured
  make().encode(part);
  const tokenizer = make();
  let tokens = 0;
  const fresh = seconds(() => {
    tokens = tokenizer.encode(text).length;
  });
  const warm = seconds(() => tokenizer.encode(text));
  const own = make();
  const ownPart = seconds(() => own.encode(part));
  const library = new LibraryTokenizer(own.toJson(), {});
  const libraryPart = seconds(() => library.encode(part, { add_special_tokens: false }));
  return {
    mb_per_s: round(megabytes / fresh.wall, 1),
    warm_mb_per_s: round(megabytes / warm.wall, 1),
    mb_per_cpu_s: round(megabytes / fresh.cpu, 1),
    library_mb_per_s: round(partMegabytes / libraryPart.wall, 2),
    times_library: round(libraryPart.cpu / ownPart.cpu, 1),
    tokens,
  };
}

/** Speed of byte-level BPE over 10 MB of English. */
export function benchTokenize(): TokenizeBench {
  const { text, distinct } = english(10_000_000);
  const shakespeare = read(fileURLToPath(new URL('../assets/tinyshakespeare.txt.gz', import.meta.url))).toString();
  let trained: SerializableTokenizer | undefined;
  const training = seconds(() => {
    trained = trainByteLevelBpe([shakespeare], { vocab_size: 1024 });
  });
  const json = trained?.toJson();
  const gpt2Folder = join(shared, 'tokenizers/gpt2');
  const gpt2Json = existsSync(gpt2Folder)
    ? vocabularyAsJson(JSON.parse(read(join(gpt2Folder, 'encoder.json.gz')).toString()), read(join(gpt2Folder, 'vocab.bpe.gz')).toString())
    : null;
  return {
    text_mb: round(Buffer.byteLength(text) / 1e6, 1),
    distinct_mb: round(distinct / 1e6, 1),
    train_1024_ms: round(training.wall * 1000, 0),
    trained_1024: figures(() => tokenizerFromJson(json), text),
    gpt2: gpt2Json && figures(() => tokenizerFromJson(gpt2Json), text),
  };
}
