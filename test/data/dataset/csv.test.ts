import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { csvRecords } from '../../../src/data/dataset/csv.js';

async function* inPieces(text: string, cuts: readonly number[]): AsyncGenerator<string> {
  const at = [...new Set([0, ...cuts.map((c) => c % (text.length + 1)), text.length])].sort((a, b) => a - b);
  for (let i = 1; i < at.length; i++) yield text.slice(at[i - 1], at[i]);
}

async function parse(
  text: string,
  cuts: readonly number[] = [],
  delimiter: ',' | '\t' = ',',
): Promise<{ line: number; fields: readonly string[] }[]> {
  const out: { line: number; fields: readonly string[] }[] = [];
  for await (const record of csvRecords('file', inPieces(text, cuts), delimiter)) out.push(record);
  return out;
}

const field = fc.string({ unit: fc.constantFrom('a', 'é', '"', ',', '\t', '\n', '\r', ' ', '1'), maxLength: 6 });

describe('csv records', () => {
  it('are what was written, wherever the text is cut into pieces (property)', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(field, { minLength: 1, maxLength: 4 }), { maxLength: 6 }),
        fc.constantFrom('\n', '\r\n'),
        fc.constantFrom<',' | '\t'>(',', '\t'),
        fc.array(fc.nat(), { maxLength: 10 }),
        fc.boolean(),
        async (table, end, delimiter, cuts, ended) => {
          // the writer quotes every field that holds anything but letters, digits and blanks, and a lone empty one
          const quote = (f: string, alone: boolean): string =>
            /^[a1é ]+$/.test(f) || (f === '' && !alone) ? f : `"${f.replaceAll('"', '""')}"`;
          const lines = table.map((fields) => fields.map((f) => quote(f, fields.length === 1)).join(delimiter));
          const text = lines.join(end) + (ended && lines.length ? end : '');
          const records = await parse(text, cuts, delimiter);
          expect(records.map((r) => r.fields)).toEqual(table);
          let line = 1;
          records.forEach((r, i) => {
            expect(r.line).toBe(line);
            line += (`${lines[i]}\n`.match(/\n/g) ?? []).length;
          });
        },
      ),
      { numRuns: 400 },
    );
  });

  it('read quotes within plain fields as they stand, and skip blank lines', async () => {
    expect((await parse('a,b"c\n\n \r\n\r\n"",\n')).map((r) => r.fields)).toEqual([['a', 'b"c'], [' '], ['', '']]);
  });
});
