import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import fc from 'fast-check';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CompareSummary } from '../../src/lab/compare.js';
import { curveOf, smooth } from '../../src/lab/report/curves.js';
import { escapeHtml, html, jsonScript } from '../../src/lab/report/html.js';
import { writeReport } from '../../src/lab/report/index.js';
import { bytes, decimalsFor, signed } from '../../src/lab/report/numbers.js';
import { parseMetrics, readRun } from '../../src/lab/report/readRuns.js';
import { tickLabels, ticks } from '../../src/lab/report/scale.js';
import { verdictSentence } from '../../src/lab/report/verdict.js';
import { findChromium, launch } from '../browser/chromium.js';
import { comparisonOf, type Values } from './reportFixture.js';

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'vitro-report-'));
});
afterAll(() => rm(root, { recursive: true, force: true }));

const three: Values = { adamw: [3.01, 3.15, 3.08], muon: [2.811, 2.943, 2.872], adam: [3.05, 3.14, null] };
const hostile = '<script>window.hacked=1</script>';

async function reportOf(
  name: string,
  values: Values,
  change: Partial<CompareSummary> = {},
): Promise<{ page: string; summary: CompareSummary; path: string }> {
  const out = join(root, name);
  const { summary } = await comparisonOf(out, values, change);
  await writeReport(out, summary);
  const path = join(out, 'report.html');
  return { page: await readFile(path, 'utf8'), summary, path };
}

/** What a reader sees: text without markup, scripts and styles. */
const textOf = (page: string): string =>
  page
    .replace(/<(script|style)\b[\s\S]*?<\/\1>/g, ' ')
    .replace(/<[^>]*>/g, ' ')
    .replace(/&(amp|lt|gt|quot|#39);/g, (_, name: string) => ({ amp: '&', lt: '<', gt: '>', quot: '"', '#39': "'" })[name] as string)
    .replace(/\s+/g, ' ');

const voidElements = new Set(['meta', 'input', 'br']);

/** Names the first tag that is closed wrongly or never; undefined where all tags balance. */
function firstUnbalanced(page: string): string | undefined {
  const open: string[] = [];
  const body = page.replace(/<!doctype html>/i, '').replace(/(<(script|style)\b[^>]*>)[\s\S]*?(<\/\2>)/g, '$1$3');
  for (const [tag, slash, name, selfClosed] of body.matchAll(/<(\/?)([a-zA-Z][\w-]*)(?:"[^"]*"|'[^']*'|[^"'>])*?(\/?)>/g) as Iterable<
    string[]
  >) {
    if (selfClosed || voidElements.has(name as string)) continue;
    if (!slash) open.push(name as string);
    else if (open.pop() !== name) return tag;
  }
  return open.at(-1);
}

describe('report.html', () => {
  it('is one whole file: balanced tags, ids used once, nothing loaded, no half-written file left', async () => {
    const { page, path } = await reportOf('whole', three);
    expect(firstUnbalanced(page)).toBeUndefined();
    const ids = [...page.matchAll(/\sid="([^"]*)"/g)].map((m) => m[1]);
    expect(new Set(ids).size).toBe(ids.length);
    for (const [, used] of page.matchAll(/(?:\sfor="|url\(#)([^")]*)/g)) expect(ids).toContain(used);
    expect(page).not.toMatch(/https?:|\ssrc=|@import|\bjavascript:|\son\w+=|\sstyle=/i);
    expect([...page.matchAll(/url\(([^)]*)\)/g)].every((m) => (m[1] as string).startsWith('#'))).toBe(true);
    expect([...page.matchAll(/\shref="([^"]*)"/g)].every((m) => (m[1] as string).startsWith('./'))).toBe(true);
    expect((await readdir(join(path, '..'))).filter((f) => f.endsWith('.tmp'))).toEqual([]);
  });

  it('allows its own script and style by their digests, and nothing else', async () => {
    const { page } = await reportOf('policy', three);
    const policy = /http-equiv="Content-Security-Policy" content="([^"]*)"/.exec(page)?.[1]?.replaceAll('&#39;', "'") ?? '';
    const digest = (text: string): string => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
    const inner = (pattern: RegExp): string => pattern.exec(page)?.[1] ?? 'missing';
    expect(policy.split('; ')).toEqual([
      "default-src 'none'",
      `script-src ${digest(inner(/<script type="module">([\s\S]*?)<\/script>/))}`,
      `style-src ${digest(inner(/<style>([\s\S]*?)<\/style>/))}`,
      "base-uri 'none'",
      "form-action 'none'",
    ]);
  });

  it('shows the figures: statistics, cost, every run, recipes, setup, command', async () => {
    const { page, summary } = await reportOf('figures', three);
    const text = textOf(page);
    const [adamw, muon] = summary.rows;
    // mean of 3.01, 3.15, 3.08, and of the differences -0.199, -0.207, -0.208
    expect(adamw?.estimate?.mean).toBeCloseTo(3.08, 12);
    expect(muon?.difference?.mean).toBeCloseTo(-0.614 / 3, 12);
    for (const expected of [
      ...['3.080', '\u22120.205', muon?.verdict, '4.00k', '9.00G', '43.2'],
      ...['1.23k', '8.25G', '750M', '98.7', '321 MiB', '\u00d71.00'],
      ...['3.01000', '2.94300', 'diverged', 'm1-seed2'],
      ...['learning_rate', '0.02 *', 'momentum', '0.95 *', 'cosine'],
      ...['Every candidate runs on other seeds.', 'ab12'.repeat(16), '9.8.7', 'A & B <processor>', '16.0 GiB', '2026-01-02'],
      ...['npx vitro compare adamw muon adam --testbed shakespeare --seeds 3', 'adam: 1 of 3 runs diverged'],
    ])
      expect(text).toContain(expected);
    expect(text).toMatch(/not tuned muon, adam/);
    // what the baseline has and a method lacks is a difference too
    expect(page).toMatch(/weight_decay<\/th><td class="">0.1<\/td><td class="changed">/);
  });

  it('says in one sentence what came out', async () => {
    const { summary } = await comparisonOf(join(root, 'sentence'), three);
    expect(verdictSentence(summary, 3)).toBe(
      'By val/bpb, at equal cost in tokens and over 3 seeds, against adamw: muon (\u22120.205) is better; adam (+0.015) is undecided.',
    );
    const two = async (muon: readonly (number | null)[]): Promise<string> =>
      verdictSentence((await comparisonOf(join(root, 'sentence'), { adamw: [3, 3.1, 3.2], muon })).summary, 3);
    expect(await two([2.9, 3.01, 3.1])).toMatch(
      /^muon is better than adamw: its val\/bpb differs by \u22120\.097 \(95% interval \u22120\.\d{3} to \u22120\.\d{3}\), at equal/,
    );
    expect(await two([3.1, 3.21, 3.3])).toMatch(/^muon is worse than adamw/);
    expect(await two([3.001, 3.1, 3.2])).toMatch(/^muon and adamw are equivalent here: .* within the margin of \u00b10\.02/);
    expect(await two([2.5, 3.2, 3.5])).toMatch(/^These seeds do not decide between muon and adamw/);
    expect(await two([null, null, null])).toMatch(/cannot be compared/);
  });

  it.each([
    ['one seed', { adamw: [3], muon: [2.9] }],
    ['one method', { adamw: [3, 3.1] }],
    ['a method that always diverged', { adamw: [3, 3.1], muon: [null, null] }],
    ['a baseline that always diverged', { adamw: [null, null], muon: [3, 3.1] }],
    ['equal values', { adamw: [3, 3], muon: [3, 3] }],
    ['twelve methods', Object.fromEntries(Array.from({ length: 12 }, (_, i) => [`m${i}`, [3 + i, 3.1 + i]]))],
  ] as [string, Values][])('holds together with %s', async (name, values) => {
    const { page } = await reportOf(name.replaceAll(' ', '-'), values);
    expect(firstUnbalanced(page)).toBeUndefined();
    expect(page).not.toMatch(/NaN|Infinity|undefined|\[object/);
  });

  it('is written where run folders are missing, without their curves', async () => {
    const { page } = await reportOf('gone', three, { runs: ['nowhere-1', 'nowhere-2'] });
    expect(page).not.toContain('<h2>Curves');
    expect(textOf(page)).toContain('3.080');
  });

  it('escapes names: no method, file or setting becomes markup', async () => {
    const values = { adamw: [3, 3.1], [hostile]: [2.9, 3] };
    const { page } = await reportOf('hostile', values, {
      testbed: 'bytes:"><img src=x onerror=hacked()>',
      command: `echo '</pre>${hostile}'`,
      runs: [`../${hostile}`, 'x"y'],
    });
    expect(page).not.toContain(hostile);
    expect(page).not.toMatch(/<img|\sonerror=hacked\(\)[^&]*>(?!&)/);
    expect(firstUnbalanced(page)).toBeUndefined();
    const { page: withCurves } = await reportOf('hostile-curves', values);
    expect(withCurves).toContain('<h2>Curves');
    expect(withCurves).not.toContain(hostile);
    expect(withCurves.match(/<script/g)?.length).toBe(2);
  });
});

describe('curves', () => {
  it('take mean and Student-t interval over the finished seeds at each step, and place them by tokens, FLOPs and seconds', async () => {
    const out = join(root, 'curves');
    const { summary } = await comparisonOf(out, { adamw: [1, 2, 3, null] });
    const runs = await Promise.all(summary.runs.map((f) => readRun(join(out, f))));
    const { points } = curveOf(runs, 'val/bpb', { smoothed: false });
    expect(points.map((p) => p.step)).toEqual([15, 30, 40]);
    const last = points.at(-1);
    expect(last?.mean).toBeCloseTo(2, 12);
    // t(0.975, 2) = 4.302653, sd 1, n 3
    expect((last?.high ?? 0) - 2).toBeCloseTo(4.302653 / Math.sqrt(3), 5);
    expect(points[0]?.mean).toBeCloseTo(2 + 25 / 20, 12);
    expect(points[0]?.x.tokens).toBe(1500);
    expect(points[0]?.x.flops).toBeCloseTo(9e9 * (1500 / 4000), 0);
    expect(points[0]?.x.seconds).toBeCloseTo(7.5, 12);
  });

  it('smooth by a centred mean: straight lines stay, a spike spreads, the window narrows at the ends', () => {
    const straight = [0, 1, 2, 3, 4, 5, 6];
    smooth(straight, 5).forEach((v, i) => void expect(v).toBeCloseTo(straight[i] as number, 12));
    expect(smooth([0, 0, 0, 3, 0, 0, 0], 3)).toEqual([0, 0, 1, 1, 1, 0, 0]);
    expect(smooth([6, 0, 0], 5)).toEqual([6, 2, 0]);
  });

  it('read what is whole of a log', () => {
    expect(parseMetrics('{"loss": 1}\n\nnonsense\n[1]\n{"loss": null, "text": "x"}\n{"loss": 2')).toEqual([{ loss: 1 }, { loss: null }]);
  });
});

describe('numbers and markup', () => {
  it('gives ticks inside the domain, evenly spaced, with labels that differ', () => {
    fc.assert(
      fc.property(
        fc.double({ min: -1e6, max: 1e6, noNaN: true }),
        fc.double({ min: 1e-3, max: 1e6, noNaN: true }),
        fc.integer({ min: 2, max: 10 }),
        (low, span, n) => {
          const high = low + span;
          const values = ticks([low, high], n);
          expect(values.length).toBeGreaterThan(0);
          expect(values.length).toBeLessThanOrEqual(n + 1);
          for (const v of values) expect(v >= low - span * 1e-6 && v <= high + span * 1e-6).toBe(true);
          expect(new Set(tickLabels(values)).size).toBe(values.length);
        },
      ),
    );
    expect(tickLabels([-0.5, 0, 0.5])).toEqual(['\u22120.5', '0.0', '0.5']);
  });

  it('escapes any text, and data of scripts, so that they read back', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const escaped = escapeHtml(text);
        expect(escaped).not.toMatch(/[<>"']/);
        expect(textOf(`<p>${escaped}</p>`).trim()).toBe(text.replace(/\s+/g, ' ').trim());
        const data = jsonScript('x', { text: `</script>${text}` }).text;
        expect(data.match(/<\/script>/g)?.length).toBe(1);
        expect(JSON.parse(data.slice(data.indexOf('>') + 1, -'</script>'.length))).toEqual({ text: `</script>${text}` });
      }),
    );
    expect(html`<b title="${'"'}">${['<', null, false, 1]}${html`<i></i>`}</b>`.text).toBe('<b title="&quot;">&lt;1<i></i></b>');
  });

  it('shows two digits of an interval, bytes in binary units, signs always', () => {
    expect([[0.2], [0.05], [0.004], [0.0004, 0.1], [], [Number.NaN]].map(decimalsFor)).toEqual([3, 3, 4, 5, 3, 3]);
    expect([0, 900, 1536, 321 * 2 ** 20, 1.5 * 2 ** 40].map(bytes)).toEqual(['0 B', '900 B', '1.50 KiB', '321 MiB', '1.50 TiB']);
    expect([signed(0.1234, 2), signed(-0.1234, 2), signed(-0.001, 2)]).toEqual(['+0.12', '-0.12', '0.00']);
  });
});

const executable = findChromium();

describe.skipIf(!executable)(`report.html in Chromium${executable ? '' : ' (skipped: there is none; name one in VITRO_CHROMIUM)'}`, () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await launch(executable as string, 'off');
  });
  afterAll(() => browser?.close());

  it('opens without requests, errors or foreign scripts; axes switch without script; values show under the pointer', async () => {
    const { path } = await reportOf('browser', {
      adamw: [3, 3.1, 3.2],
      [hostile]: [2.9, 3, 3.05],
      '<img src=x onerror="window.hacked=1">': [3, 3, 3],
    });
    for (const javaScriptEnabled of [true, false]) {
      const context = await browser.newContext({ javaScriptEnabled, viewport: { width: 360, height: 800 }, colorScheme: 'dark' });
      const page = await context.newPage();
      const troubles: string[] = [];
      page.on('console', (m) => troubles.push(m.text()));
      page.on('pageerror', (e) => troubles.push(e.message));
      page.on('request', (r) => troubles.push(r.url()));
      const url = pathToFileURL(path).href;
      await page.goto(url);
      expect(await page.locator('.variants > svg:visible').count()).toBe(2);
      expect(await page.locator('.variants > svg.x-tokens.r-all:visible').count()).toBe(2);
      await page.locator('label[for=axis-seconds]').click();
      await page.locator('label[for=range-late]').click();
      expect(await page.locator('.variants > svg.x-seconds.r-late:visible').count()).toBe(2);
      if (javaScriptEnabled) {
        const chart = page.locator('svg.x-seconds.r-late').first();
        await chart.hover();
        const tip = page.locator('.tip:visible');
        expect(await tip.count()).toBe(1);
        expect(await tip.innerText()).toMatch(/^adamw \d\.\d{3} \u00b1 \d\.\d{3} at \d/);
        expect(await tip.innerText()).toContain(hostile);
        const facts =
          'JSON.stringify([typeof hacked, document.documentElement.scrollWidth <= innerWidth, getComputedStyle(document.body).backgroundColor])';
        expect(await page.evaluate(facts)).toBe(JSON.stringify(['undefined', true, 'rgb(20, 23, 28)']));
      }
      expect(troubles).toEqual([url]);
      await context.close();
    }
  });
});
