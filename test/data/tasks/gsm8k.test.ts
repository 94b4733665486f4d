import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { chainIsRight, gsm8k, scoreCompletion, type TaskDataset } from '../../../src/data/tasks/index.js';

const folder = mkdtempSync(join(tmpdir(), 'vitro-gsm8k-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const write = (name: string, rows: object[]): string => {
  const path = join(folder, name);
  writeFileSync(path, rows.map((r) => JSON.stringify(r)).join('\n'));
  return path;
};

const rows = [
  {
    question: 'Ada’s shop sells 12 boxes of 90 nails. How many nails is that?',
    answer: 'One box has 90 nails.\nAll have 12*90 = <<12*90=1080>>1080 nails.\n#### 1,080',
  },
  { question: 'Tom pays £3 and £4. How much in all?', answer: 'He pays 3+4=<<3+4=7>>7 pounds, and no more <<7-0=7>>7.\n#### 7' },
];

describe('gsm8k', () => {
  it('makes prompts, worked solutions and answers of its rows, in ASCII', async () => {
    const data = await gsm8k({ path: write('rows.jsonl', rows) });
    expect(data.length).toBe(2);
    expect(data.entry(0)).toMatchObject({
      prompt: "Ada's shop sells 12 boxes of 90 nails. How many nails is that?\n",
      solution: 'One box has 90 nails.\nAll have 12*90 = 1080 nails.\n#### 1,080',
      answer: '1,080',
      difficulty: 1,
    });
    expect(data.entry(1).difficulty).toBe(2);
    expect(data.entry(1).prompt).not.toMatch(/[^\n -~]/);
    const annotated = await gsm8k({ path: join(folder, 'rows.jsonl'), annotations: true, size: 1 });
    expect(annotated.length).toBe(1);
    expect(annotated.entry(0).solution).toContain('<<12*90=1080>>1080');
    expect(annotated.fingerprint).not.toBe(data.fingerprint);
    expect(() => data.entry(2)).toThrow(/not one of the 2 entries/);
  });

  it('scores by value, wherever the answer is marked', async () => {
    const data = await gsm8k({ path: write('rows.jsonl', rows) });
    const entry = data.entry(0);
    for (const right of ['#### 1080', 'so \\boxed{1{,}080}', 'The answer is 1080 nails.', '12 * 90 makes 1,080.00', '#### 1080 nails'])
      expect(scoreCompletion(data, right, entry), right).toBe(1);
    for (const wrong of ['#### 1081', '#### 108', '', '1080, no: 90', '#### -1080', '#### 1.080'])
      expect(scoreCompletion(data, wrong, entry), wrong).toBe(0);
    expect(chainIsRight(data, entry.solution, entry)).toBe(true);
    expect(chainIsRight(data, entry.solution.replace('12*90', '12*91'), entry)).toBe(false);
  });

  it('names the row that is not one of GSM8K', async () => {
    await expect(gsm8k({ path: write('bad.jsonl', [rows[0] as object, { question: 'q', answer: '7' }]) })).rejects.toThrow(/row 1.*####/);
    await expect(gsm8k({ path: write('none.jsonl', [{ prompt: 'q', answer: '7' }]) })).rejects.toThrow(/no column "question"/);
  });

  const shared = process.env.VITRO_SHARED ?? fileURLToPath(new URL('../../../../shared/data', import.meta.url));
  const path = join(shared, 'tasks/gsm8k/test.jsonl.gz');
  if (!existsSync(path)) console.warn(`skipped: ${path} is absent; set VITRO_SHARED to the folder of shared data`);

  it.skipIf(!existsSync(path))(
    'accepts every reference solution of the real file, and the next one’s answer only where it is equal',
    async () => {
      const data: TaskDataset = await gsm8k({ path });
      expect(data.length).toBe(1319);
      const entries = Array.from({ length: data.length }, (_, i) => data.entry(i));
      expect(entries.filter((e) => scoreCompletion(data, e.solution, e) !== 1).map((e) => e.answer)).toEqual([]);
      expect(entries.filter((e) => /[^\n -~]/.test(e.prompt + e.solution))).toEqual([]);
      const numeric = (text: string): number => Number(text.replaceAll(',', ''));
      const mistaken = entries.filter((e, i) => {
        const other = entries[(i + 1) % entries.length]?.solution ?? '';
        const equal = numeric(other.slice(other.lastIndexOf('####') + 4)) === numeric(e.answer);
        return scoreCompletion(data, other, e) !== (equal ? 1 : 0);
      });
      expect(mistaken.map((e) => e.answer)).toEqual([]);
      // without its mark the answer is still the last number of most solutions
      const unmarked = entries.filter((e) => scoreCompletion(data, e.steps.join('\n'), e) === 1).length;
      expect(unmarked / entries.length).toBeGreaterThan(0.8);
    },
  );
});
