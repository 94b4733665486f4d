import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

export interface Bundle {
  /** names of the files below the output folder */
  readonly files: readonly string[];
  /** ids of the modules in the scripts: paths, or names that Vite gives */
  readonly modules: readonly string[];
}

/** Bundles page.html into `outDir`, with the platform that package.json names for browsers. */
export async function buildSite(outDir: string): Promise<Bundle> {
  const result = await build({
    configFile: false,
    root: here('.'),
    logLevel: 'warn',
    resolve: { alias: { '#platform': here('../../src/tensor/backends/platformBrowser.ts') } },
    // docs/browser.md says why
    define: { 'typeof require': '"undefined"' },
    worker: { format: 'es' },
    build: {
      outDir,
      emptyOutDir: true,
      target: 'es2023',
      chunkSizeWarningLimit: 2000,
      reportCompressedSize: false,
      rolldownOptions: { input: here('./page.html') },
    },
  });
  if (!('output' in result)) throw new Error('vite built no single bundle');
  return {
    files: result.output.map((file) => file.fileName),
    modules: result.output.flatMap((file) => (file.type === 'chunk' ? file.moduleIds : [])),
  };
}

const types: Readonly<Record<string, string>> = { '.html': 'text/html', '.js': 'text/javascript', '.wasm': 'application/wasm' };

const isolation = { 'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp' };

export interface Site {
  readonly url: string;
  close(): Promise<void>;
}

/** Serves the files of a folder on this machine; `isolated` sends the headers without which a page gets no SharedArrayBuffer. */
export async function serve(folder: string, { isolated }: { readonly isolated: boolean }): Promise<Site> {
  const server = createServer(async (request, response) => {
    const path = join(folder, new URL(request.url ?? '/', 'http://localhost').pathname);
    const type = types[extname(path)];
    const inside = !relative(folder, path).startsWith(`..${sep}`);
    const body = type && inside ? await readFile(path).catch(() => undefined) : undefined;
    if (!body) response.writeHead(404).end();
    else response.writeHead(200, { 'Content-Type': type, ...(isolated ? isolation : {}) }).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
