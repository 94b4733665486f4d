import { createRequire } from 'node:module';
import { arch, cpus, platform, totalmem } from 'node:os';

/** The machine of a run, for its record. */
export interface Machine {
  readonly platform: string;
  readonly arch: string;
  readonly cpu: string;
  readonly cores: number;
  readonly memory_bytes: number;
}

export const describeMachine = (): Machine => ({
  platform: platform(),
  arch: arch(),
  cpu: cpus()[0]?.model ?? 'unknown',
  cores: cpus().length,
  memory_bytes: totalmem(),
});

/** Versions that can change a result. */
export interface Versions {
  readonly vitro: string;
  readonly node: string;
  readonly onnxruntime: string;
}

const require = createRequire(import.meta.url);

/** This package's version and that of the ONNX Runtime it was installed with. */
export function readVersions(): Versions {
  const own = require('../../package.json') as { version: string; dependencies: Record<string, string> };
  return { vitro: own.version, node: process.versions.node, onnxruntime: own.dependencies['onnxruntime-node'] ?? 'unknown' };
}
