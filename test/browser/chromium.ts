import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { type Browser, chromium } from 'playwright-core';

const isExecutable = (path: string): boolean => {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
};

/** The browser to test in: VITRO_CHROMIUM, else chromium or Chrome on the PATH; undefined where there is none. */
export function findChromium(): string | undefined {
  const named = process.env.VITRO_CHROMIUM;
  if (named) {
    if (!isExecutable(named)) throw new Error(`VITRO_CHROMIUM names "${named}", which cannot be executed`);
    return named;
  }
  const folders = (process.env.PATH ?? '').split(delimiter);
  const names = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];
  return names.flatMap((name) => folders.map((folder) => join(folder, name))).find(isExecutable);
}

const quiet = [
  '--no-sandbox',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

const graphics = {
  off: ['--disable-gpu'],
  /** WebGPU on SwiftShader, the Vulkan driver for the CPU that Chromium brings along */
  software: ['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader', '--enable-features=Vulkan'],
};

/** Starts a headless browser with a new, empty profile. */
export const launch = (executablePath: string, gpu: keyof typeof graphics): Promise<Browser> =>
  chromium.launch({ executablePath, headless: true, args: [...quiet, ...graphics[gpu]] });
