import { defaultBackend, loadBackend as loadPlatformBackend } from '#platform';
import { BackendError } from '../errors.js';
import type { Backend, BackendName } from './types.js';

/** The float64 interpreter as a backend: it executes graphs directly, so there are no ONNX sessions to create. */
const reference: Backend = {
  name: 'reference',
  devices: () => ['cpu'],
  sync: true,
  direct: true,
  createSessionSync: () => {
    throw new BackendError('the reference interpreter runs graphs, not ONNX models');
  },
  createSession: async () => {
    throw new BackendError('the reference interpreter runs graphs, not ONNX models');
  },
};

/** A backend by name, or the platform's default. */
export function loadBackend(name?: BackendName): Backend {
  if (name === 'reference') return reference;
  return name === undefined ? defaultBackend() : loadPlatformBackend(name);
}
