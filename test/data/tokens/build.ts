import { existsSync, writeFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { datasetFromRows } from '../../../src/data/dataset/memory.js';
import { cacheTokens } from '../../../src/data/tokens/tokenCache.js';
import { byteTokenizer } from '../support/tokenizer.js';

/** Says that it is ready, waits for the file `go`, builds one key of tokens, and returns how many. Run by two processes at once. */
export async function buildOnSignal(cache_dir: string, ready: string, go: string): Promise<number> {
  const dataset = datasetFromRows(Array.from({ length: 20 }, (_, i) => ({ text: String(i % 10).repeat(1000) })));
  writeFileSync(ready, '');
  while (!existsSync(go)) await setTimeout(1);
  return (await cacheTokens(dataset, byteTokenizer(), { cache_dir })).num_tokens;
}
