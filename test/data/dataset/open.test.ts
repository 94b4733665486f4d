import { readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { DataError, type Dataset, type RowRange } from '../../../src/data/dataset/dataset.js';
import { datasetFromRows } from '../../../src/data/dataset/memory.js';
import { openDataset } from '../../../src/data/dataset/open.js';
import { withDuckDB } from '../../../src/data/dataset/parquet.js';
import { sharedData, temporaryFolder } from '../support/folder.js';

const folder = temporaryFolder();

async function collect(dataset: Dataset, range?: RowRange): Promise<unknown[]> {
  const out: unknown[] = [];
  for await (const row of dataset.rows(range)) out.push(row);
  return out;
}

const rows = Array.from({ length: 7 }, (_, i) => ({
  id: i,
  text: `document ${i}: ünïcode "quoted", with\nlines`,
  tags: [i, i + 1],
  nested: { a: null, b: i % 2 === 0 },
}));
const jsonl = rows.map((r) => JSON.stringify(r)).join('\n');

async function parquetFile(name: string, source: unknown[]): Promise<string> {
  const json = await folder.put(`${name}.source.jsonl`, source.map((r) => JSON.stringify(r)).join('\n'));
  const path = join(folder.path, name);
  await withDuckDB((c) => c.run(`copy (select * from read_json('${json}')) to '${path}' (format parquet)`));
  await rename(json, `${json}.used`);
  return path;
}

describe('formats', () => {
  it('reads jsonl, packed jsonl, a json list and parquet as the same rows', async () => {
    const paths = [
      await folder.put('a.jsonl', jsonl),
      await folder.put('b.jsonl.gz', gzipSync(`${jsonl}\r\n\n`)),
      await folder.put('c.json', JSON.stringify(rows)),
      await parquetFile('d.parquet', rows),
    ];
    for (const path of paths) {
      const dataset = await openDataset({ path });
      expect(dataset.columns).toEqual(['id', 'text', 'tags', 'nested']);
      expect(await collect(dataset)).toEqual(rows);
      expect(await collect(dataset, { start: 2, end: 5 })).toEqual(rows.slice(2, 5));
      expect(dataset.length).toBe(path.endsWith('parquet') ? 7 : null);
    }
  });

  it('reads only the wanted columns', async () => {
    for (const path of [await folder.put('p.jsonl', jsonl), await parquetFile('p.parquet', rows)]) {
      const dataset = await openDataset({ path, columns: ['text', 'id'] });
      expect(dataset.columns).toEqual(['text', 'id']);
      expect((await collect(dataset))[3]).toEqual({ text: rows[3]?.text, id: 3 });
    }
  });

  it('reads csv and tsv with quotes, line ends and doubled quotes in fields', async () => {
    const csv = await folder.put('a.csv', 'text,label\r\n"a, ""b""\r\nc",1\r\n\r\n,2\r\n007,"x"');
    expect(await collect(await openDataset({ path: csv }))).toEqual([
      { text: 'a, "b"\r\nc', label: '1' },
      { text: '', label: '2' },
      { text: '007', label: 'x' },
    ]);
    const tsv = await folder.put('a.tsv.gz', gzipSync('text\tn\nhello, world\t1\n'));
    expect(await collect(await openDataset({ path: tsv }))).toEqual([{ text: 'hello, world', n: '1' }]);
  });

  it('reads text files as one document each, or divided', async () => {
    const whole = await openDataset({ path: [await folder.put('t/1.txt', 'one\n\ntwo\n'), await folder.put('t/2.txt', 'three')] });
    expect(await collect(whole)).toEqual([{ text: 'one\n\ntwo\n' }, { text: 'three' }]);
    const blank = await openDataset({ path: join(folder.path, 't/1.txt'), separator: '\n\n', text_column: 'story' });
    expect(await collect(blank)).toEqual([{ story: 'one' }, { story: 'two' }]);
    const ended = await folder.put('e.txt', 'a b\n<|endoftext|>\n\n<|endoftext|>c<|endoftext|>');
    expect(await collect(await openDataset({ path: ended, separator: '<|endoftext|>' }))).toEqual([{ text: 'a b' }, { text: 'c' }]);
  });

  it('finds separators and characters that lie across the pieces in which a file is read', async () => {
    const long = `${'é'.repeat(524_287)}x`; // 2^20 - 1 bytes: the separator begins on the last byte of the first piece
    const path = await folder.put('long.txt', `${long}<|eot|>${long}`);
    expect(await collect(await openDataset({ path, separator: '<|eot|>' }))).toEqual([{ text: long }, { text: long }]);
  });
});

describe('files', () => {
  it('joins lists, folders and globs in order, and ranges run across files', async () => {
    const part = (i: number, ext: string): Promise<string> =>
      ext === 'parquet'
        ? parquetFile(`m-${ext}/part-${i}.parquet`, [{ n: 10 * i }, { n: 10 * i + 1 }])
        : folder.put(`m-${ext}/part-${i}.jsonl`, `{"n":${10 * i}}\n{"n":${10 * i + 1}}\n`);
    await folder.put('m-parquet/.keep', '');
    for (const ext of ['jsonl', 'parquet']) {
      const files = [await part(2, ext), await part(0, ext), await part(1, ext)];
      const n = async (dataset: Dataset, range?: RowRange): Promise<unknown[]> =>
        (await collect(dataset, range)).map((r) => (r as { n: number }).n);
      const under = join(folder.path, `m-${ext}`);
      const listed = await openDataset({ path: files });
      expect(await n(listed)).toEqual([20, 21, 0, 1, 10, 11]);
      if (ext === 'jsonl') expect(await n(await openDataset({ path: under }))).toEqual([0, 1, 10, 11, 20, 21]);
      expect(await n(await openDataset({ path: join(under, `*.${ext}`) }))).toEqual([0, 1, 10, 11, 20, 21]);
      for (let start = 0; start <= 6; start += 1)
        for (let end = start; end <= 7; end += 3) expect(await n(listed, { start, end })).toEqual([20, 21, 0, 1, 10, 11].slice(start, end));
    }
  });

  it('selects splits by file name', async () => {
    await folder.put('s/train-00000-of-00002.jsonl', '{"s":"t0"}');
    await folder.put('s/train-00001-of-00002.jsonl', '{"s":"t1"}');
    await folder.put('s/valid.jsonl', '{"s":"v"}');
    const path = join(folder.path, 's');
    expect(await collect(await openDataset({ path, split: 'train' }))).toEqual([{ s: 't0' }, { s: 't1' }]);
    expect(await collect(await openDataset({ path, split: 'validation' }))).toEqual([{ s: 'v' }]);
    await expect(openDataset({ path, split: 'test' })).rejects.toThrow(/no split "test"; it has the splits train, validation/);
    const plain = await folder.put('plain/data.jsonl', '{"s":1}');
    expect(await collect(await openDataset({ path: plain, split: 'train' }))).toEqual([{ s: 1 }]);
    await expect(openDataset({ path: plain, split: 'test' })).rejects.toThrow(/state no split/);
  });

  it('fingerprints content, not places', async () => {
    const at = async (name: string, text: string, columns?: string[]): Promise<string> =>
      (await openDataset({ path: await folder.put(name, text), columns })).fingerprint;
    const first = await at('f1.jsonl', jsonl);
    expect(await at('f/g.jsonl', jsonl)).toBe(first);
    expect(await at('f1.jsonl', jsonl.replace('document 6', 'document 9'))).not.toBe(first);
    expect(await at('f1.jsonl', jsonl, ['text'])).not.toBe(first);
    const memory = (text: string): string => datasetFromRows([{ text }]).fingerprint;
    expect(memory('a')).toBe(memory('a'));
    expect(memory('a')).not.toBe(memory('b'));
  });
});

describe('bad input', () => {
  const open = async (name: string, content: string | Uint8Array, options: object = {}): Promise<unknown[]> =>
    collect(await openDataset({ path: await folder.put(name, content), ...options }));

  it('names the columns there are and the nearest one', async () => {
    for (const path of [
      await folder.put('x.jsonl', jsonl),
      await parquetFile('x.parquet', rows),
      await folder.put('x.csv', 'id,text\n1,a\n'),
    ])
      await expect(openDataset({ path, text_column: 'txt' })).rejects.toThrow(
        /has no column "txt"; did you mean "text"\? Its columns: id, text/,
      );
    await expect(openDataset({ path: join(folder.path, 'x.jsonl'), columns: ['completion'] })).rejects.toThrow(
      /no column "completion" Its columns: id/,
    );
  });

  it('names file and line of a broken line of jsonl', async () => {
    await expect(open('broken.jsonl', `${jsonl}\n{"text": "a", nope}\n`)).rejects.toThrow(/broken\.jsonl:8: not JSON/);
    await expect(open('list.jsonl', '{"a":1}\n[1]\n')).rejects.toThrow(/list\.jsonl:2: .*found a list/);
    await expect(open('obj.json', '{"a":1}')).rejects.toThrow(/found a object/);
    await expect(open('cut.json', '[{"a":1}')).rejects.toThrow(/cut\.json: not JSON/);
  });

  it('names file and line of odd rows of csv', async () => {
    const many = `text,b\n${Array.from({ length: 50_000 }, (_, i) => `row ${i},${i}\n`).join('')}`;
    await expect(open('odd.csv', `${many}a,b,c\n`)).rejects.toThrow(/odd\.csv:50002: 3 fields, but the header names 2 \(text, b\)/);
    await expect(open('short.csv', 'text,b\n"two\nlines",1\nalone\n')).rejects.toThrow(/short\.csv:4: 1 fields/);
    await expect(open('open.csv', 'text,b\nx,1\n"never closed,2\n3,4\n')).rejects.toThrow(/open\.csv:3: a quoted field opens here/);
    await expect(open('after.csv', 'text,b\n"x"y,1\n')).rejects.toThrow(/after\.csv:2: "y" follows a closing quote/);
    await expect(open('twice.csv', 'a,a\n1,2\n')).rejects.toThrow(/names "a" twice/);
  });

  it('says when a gzip stream is cut or damaged', async () => {
    const packed = gzipSync(Array.from({ length: 5000 }, (_, i) => `{"text":"${Math.sin(i)}"}`).join('\n'));
    for (const length of [20, packed.length >> 1, packed.length - 4])
      await expect(open('cut.jsonl.gz', packed.subarray(0, length))).rejects.toThrow(/cut\.jsonl\.gz: the gzip stream ends early/);
    const damaged = Uint8Array.from(packed).fill(0x5a, 1000, 1200);
    await expect(open('bad.jsonl.gz', damaged)).rejects.toThrow(/bad\.jsonl\.gz: the gzip stream is damaged/);
    await expect(open('cut.csv.gz', gzipSync('text,b\nhello,1\nworld,2\n').subarray(0, 25))).rejects.toThrow(/ends early/);
    await expect(open('cut.txt.gz', packed.subarray(0, 900))).rejects.toThrow(/ends early/);
  });

  it('says when parquet is cut, or damaged in the middle', async () => {
    const path = join(folder.path, 'big.parquet');
    await withDuckDB((c) =>
      c.run(`copy (select range as id, md5(range::varchar) as text from range(120000)) to '${path}' (format parquet, row_group_size 4096)`),
    );
    const bytes = await readFile(path);
    await expect(open('cut.parquet', bytes.subarray(0, bytes.length >> 1))).rejects.toThrow(/cut\.parquet: not a readable parquet file/);
    // DuckDB reports damage within its first megabyte at once, and ends a stream silently at damage further on
    for (const part of [0.2, 0.9]) {
      const at = Math.floor(part * bytes.length);
      const damaged = Uint8Array.from(bytes).fill(0x5a, at, at + 4000);
      await expect(open('mid.parquet', damaged)).rejects.toThrow(/mid\.parquet: not a readable parquet file \(.*Failed to read/);
    }
  });

  it('says when there is nothing, nothing of that name, or nothing that can be read', async () => {
    for (const name of ['e.jsonl', 'e.csv', 'e.txt', 'e.tsv']) await expect(open(name, '')).rejects.toThrow(/the dataset is empty/);
    await expect(open('h.csv', 'text,b\n')).rejects.toThrow(/the dataset is empty/);
    await expect(open('l.json', '[]')).rejects.toThrow(/the dataset is empty/);
    expect(() => datasetFromRows([])).toThrow(/empty/);
    await expect(openDataset({ path: './missing.jsonl' })).rejects.toThrow(/no such file or folder/);
    await expect(openDataset({ path: [] })).rejects.toThrow(/list of paths is empty/);
    await expect(openDataset({ path: join(folder.path, '*.nothing') })).rejects.toThrow(/no file matches/);
    await expect(open('strange.bin', 'x')).rejects.toThrow(/set `format`/);
    expect(await open('strange.bin', 'x', { format: 'txt' })).toEqual([{ text: 'x' }]);
    await expect(openDataset({ path: [join(folder.path, 'strange.bin'), join(folder.path, 'a.csv')] })).rejects.toThrow(/several formats/);
    await expect(open('latin.txt', Uint8Array.of(0x68, 0xff, 0x69))).rejects.toThrow(/not UTF-8/);
    const dataset = datasetFromRows([{ text: 'a' }]);
    expect(() => dataset.rows({ start: 2, end: 1 })).toThrow(DataError);
  });
});

const shared = sharedData();
describe.skipIf(!shared)('real files (skipped where shared data is absent)', () => {
  it('counts the stories and speeches that the files hold', async () => {
    const count = async (dataset: Dataset): Promise<number> => (await collect(dataset)).length;
    const stories = join(String(shared), 'text/tinystories/valid-slice.txt.gz');
    const marks = gunzipSync(await readFile(stories))
      .toString()
      .split('<|endoftext|>')
      .filter((s) => s.trim()).length;
    expect(await count(await openDataset({ path: stories, separator: '<|endoftext|>' }))).toBe(marks);
    expect(await count(await openDataset({ path: join(String(shared), 'text/sotu.jsonl.gz'), text_column: 'text' }))).toBe(233);
    expect(await count(await openDataset({ path: join(String(shared), 'tasks/safety/xstest_prompts.csv') }))).toBe(450);
    expect(await count(await openDataset({ path: join(String(shared), 'tasks/safety/advbench_harmful_behaviors.csv') }))).toBe(520);
  });
});
