import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it, type TestContext } from 'vitest';
import { decoderFixture } from '../tensor/golden.js';
import { findChromium, launch } from './chromium.js';
import type { VitroPage } from './page.js';
import { type Bundle, buildSite, type Site, serve } from './site.js';
import { trainDecoder } from './training.js';

declare const vitroPage: VitroPage;
declare const crossOriginIsolated: boolean;
declare const navigator: { readonly gpu?: { requestAdapter(): Promise<{ readonly info: Readonly<Record<string, string>> } | null> } };

const executable = findChromium();
const fixture = decoderFixture();
const tolerance = 1e-4;

/** Every loss within the relative tolerance of the expected one. */
function expectLosses(actual: readonly number[], expected: readonly number[], what: string): void {
  expect(actual.length, what).toBeGreaterThanOrEqual(10);
  actual.forEach((loss, step) => {
    const wanted = expected[step] as number;
    expect(Math.abs(loss - wanted) / wanted, `${what}: step ${step} gave ${loss} instead of ${wanted}`).toBeLessThan(tolerance);
  });
}

if (executable === undefined) {
  it('needs chromium', (test: TestContext) => {
    const message = 'no chromium was found: install it (Debian: apt-get install chromium) or set VITRO_CHROMIUM';
    if (process.env.CI) throw new Error(message);
    console.warn(message);
    test.skip(message);
  });
}

describe.runIf(executable !== undefined)('in a browser', () => {
  const folder = mkdtempSync(join(tmpdir(), 'vitro-browser-'));
  const closers: (() => Promise<unknown>)[] = [];
  let bundle: Bundle;
  let isolated: Site;
  let onNode: number[];

  beforeAll(async () => {
    bundle = await buildSite(folder);
    isolated = await serve(folder, { isolated: true });
    closers.push(() => isolated.close());
    onNode = await trainDecoder(fixture.config, { backend: 'ort' });
  }, 60_000);

  afterAll(async () => {
    for (const close of closers.reverse()) await close();
    rmSync(folder, { recursive: true, force: true });
  });

  const start = async (gpu: 'off' | 'software'): Promise<Browser> => {
    const browser = await launch(executable as string, gpu);
    closers.push(() => browser.close());
    return browser;
  };

  /** Opens the page; what it reports as an error fails the test that asks for it. */
  async function open(browser: Browser, url: string): Promise<{ page: Page; errors: string[] }> {
    const page = await browser.newPage();
    const errors: string[] = [];
    page.on('pageerror', (error) => errors.push(error.message));
    page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
    await page.goto(`${url}/page.html`);
    return { page, errors };
  }

  it('follows PyTorch on Node', () => expectLosses(onNode, fixture.losses, 'ort'));

  it('takes neither Node modules nor the older WebGPU provider into the bundle', () => {
    expect(bundle.modules.filter((id) => id.includes('src/tensor/')).length).toBeGreaterThan(50);
    // Vite puts "__vite-browser-external" in the place of Node's own modules
    expect(bundle.modules.filter((id) => /__vite-browser-external|\/(@?koffi|onnxruntime-node)\/|platformNode/.test(id))).toEqual([]);
    expect(bundle.files.filter((name) => name.endsWith('.wasm') && name.includes('jsep'))).toEqual([]);
  });

  describe('with WebAssembly', () => {
    let browser: Browser;
    beforeAll(async () => {
      browser = await start('off');
    }, 60_000);

    it('trains with threads on a cross-origin isolated page', async () => {
      const { page, errors } = await open(browser, isolated.url);
      expect(await page.evaluate(() => crossOriginIsolated)).toBe(true);
      expect(await page.evaluate(() => vitroPage.backends())).toEqual([{ name: 'ort-web' }]);
      const losses = await page.evaluate((config) => vitroPage.trainDecoder(config, { threads: 2 }), fixture.config);
      expect(page.workers().length, 'threads of ONNX Runtime besides the page').toBe(1);
      expectLosses(losses, onNode, 'wasm against Node');
      expectLosses(losses, fixture.losses, 'wasm against PyTorch');
      expect(await page.evaluate(() => vitroPage.runSyncProblem())).toContain('await');
      expect(errors).toEqual([]);
      await page.close();
    }, 60_000);

    it('trains in a worker while the page stays responsive', async () => {
      const { page, errors } = await open(browser, isolated.url);
      const { losses, ticks } = await page.evaluate((config) => vitroPage.trainInWorker(config, { threads: 2 }, 10), fixture.config);
      expectLosses(losses, onNode, 'wasm in a worker');
      expect(ticks).toBeGreaterThan(5);
      expect(errors).toEqual([]);
      await page.close();
    }, 60_000);

    it('trains with one thread on any other page', async () => {
      const plain = await serve(folder, { isolated: false });
      closers.push(() => plain.close());
      const { page, errors } = await open(browser, plain.url);
      expect(await page.evaluate(() => crossOriginIsolated)).toBe(false);
      const losses = await page.evaluate((config) => vitroPage.trainDecoder(config, {}, 10), fixture.config);
      expect(page.workers().length).toBe(0);
      expectLosses(losses, onNode, 'one thread');
      expect(errors).toEqual([]);
      await page.close();
    }, 60_000);
  });

  // nearly all of its time goes into compiling shaders for the CPU
  it('trains with WebGPU where the browser offers an adapter', async (test: TestContext) => {
    const browser = await start('software');
    const { page, errors } = await open(browser, isolated.url);
    const problem = await page.evaluate(async () => {
      if (!navigator.gpu) return 'the browser has no navigator.gpu';
      return (await navigator.gpu.requestAdapter()) ? undefined : 'navigator.gpu.requestAdapter() gives no adapter';
    });
    if (problem !== undefined) {
      console.warn(`WebGPU was not tested: ${problem}`);
      test.skip(problem);
    }
    const losses = await page.evaluate((config) => vitroPage.trainDecoder(config, { device: 'webgpu' }, 12), fixture.config);
    expectLosses(losses, onNode, 'webgpu against Node');
    expectLosses(losses, fixture.losses, 'webgpu against PyTorch');
    expect(errors).toEqual([]);
  }, 180_000);
});
