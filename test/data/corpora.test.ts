import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { loadCorpus } from '../../src/data/corpora.js';
import { loadTinyShakespeare } from '../../src/data/textCorpus.js';
import { sharedData, temporaryFolder } from './support/folder.js';

const folder = temporaryFolder();
const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

describe('corpora by name', () => {
  it('shakespeare is the bundled text', async () => {
    const [named, loaded] = [await loadCorpus('shakespeare'), await loadTinyShakespeare()];
    expect(named.sha256).toBe(loaded.sha256);
    expect(named.train.length).toBe(1_003_854);
  });

  it('bytes are any file, packed or not, split by position', async () => {
    const path = await folder.put(
      'any.bin',
      Uint8Array.from({ length: 100 }, (_, i) => 255 - i),
    );
    const corpus = await loadCorpus('bytes', { path });
    expect([corpus.train.length, corpus.validation.length, corpus.validation[0]]).toEqual([90, 10, 165]);
    const half = await loadCorpus('bytes', { path: await folder.put('a.txt.gz', gzipSync('abcdefgh')), validation_fraction: 0.5 });
    expect([text(half.train), text(half.validation)]).toEqual(['abcd', 'efgh']);
  });

  it('wikitext takes the files of its splits', async () => {
    await folder.put('wiki/wiki.train.txt', 'train text');
    await folder.put('wiki/wiki.valid.txt.gz', gzipSync('valid text'));
    await folder.put('wiki/wiki.test.txt', 'test text');
    const path = join(folder.path, 'wiki');
    const corpus = await loadCorpus('wikitext', { path });
    expect([text(corpus.train), text(corpus.validation)]).toEqual(['train text', 'valid text']);
    const other = await loadCorpus('wikitext', { path, train_split: 'validation', validation_split: 'test' });
    expect([text(other.train), text(other.validation)]).toEqual(['valid text', 'test text']);
    expect(other.sha256).not.toBe(corpus.sha256);
  });

  it('says what is missing', async () => {
    await expect(loadCorpus('shakespear')).rejects.toThrow(/did you mean "shakespeare"\? Known: shakespeare, wikitext, bytes/);
    await expect(loadCorpus('bytes')).rejects.toThrow(/needs the path/);
    await expect(loadCorpus('bytes', { path: 'nowhere.txt' })).rejects.toThrow(/nowhere\.txt: cannot be read/);
    await expect(loadCorpus('bytes', { path: await folder.put('empty', '') })).rejects.toThrow(/too short/);
    await expect(loadCorpus('wikitext', { path: 'nowhere' })).rejects.toThrow(/no such folder/);
    await expect(loadCorpus('wikitext', { env: { HF_HUB_OFFLINE: '1' }, cache_dir: folder.path })).rejects.toThrow(/HF_HUB_OFFLINE/);
  });

  const shared = sharedData();
  it.skipIf(!shared)('reads the real WikiText-2 (skipped where shared data is absent), which lacks its train part here', async () => {
    const path = join(String(shared), 'text/wikitext-2');
    await expect(loadCorpus('wikitext', { path })).rejects.toThrow(/no split "train"; it has the splits validation, test/);
    const corpus = await loadCorpus('wikitext', { path, train_split: 'validation', validation_split: 'test' });
    expect([corpus.train.length, corpus.validation.length]).toEqual([1_121_681, 1_256_449]);
    expect(text(corpus.train)).toContain(' = Homarus gammarus = ');
  });
});
