import { BackendError } from '../errors.js';
import { ortWeb } from './ortWeb.js';
import type { Backend, BackendName, BackendStatus } from './types.js';

export function availableBackends(): readonly BackendStatus[] {
  return [{ name: ortWeb.name }];
}

export const defaultBackend = (): Backend => ortWeb;

/** onnxruntime-web is the one backend of ONNX Runtime in a browser. */
export function loadBackend(name: BackendName): Backend {
  if (name !== ortWeb.name) throw new BackendError(`the backend "${name}" does not run in a browser; use "ort-web"`);
  return ortWeb;
}

/** Threads that this machine runs at once. */
export const availableThreads = (): number =>
  (globalThis as { navigator?: { hardwareConcurrency?: number } }).navigator?.hardwareConcurrency ?? 1;
