import { availableParallelism } from 'node:os';
import { BackendError } from '../errors.js';
import { ort } from './ort.js';
import { ortNode, ortNodeModule } from './ortNode.js';
import { runtime } from './ortRuntime.js';
import { ortWeb } from './ortWeb.js';
import type { Backend, BackendName, BackendStatus } from './types.js';

/** Version and file of the library behind the C API. */
function loadedLibrary(): string {
  const { api } = runtime();
  return `ONNX Runtime ${api.version}, ${api.library}`;
}

const usable: readonly { readonly backend: Backend; readonly load: () => string | undefined }[] = [
  { backend: ort, load: loadedLibrary },
  { backend: ortNode, load: () => void ortNodeModule() },
];

/** The backends of ONNX Runtime in order of preference, each with the reason why it cannot be used where that is so. */
export function availableBackends(): readonly BackendStatus[] {
  return usable.map(({ backend, load }) => {
    try {
      const library = load();
      return { name: backend.name, ...(library === undefined ? {} : { library }) };
    } catch (error) {
      return { name: backend.name, problem: error instanceof Error ? error.message : String(error) };
    }
  });
}

let chosen: Backend | undefined;

/** The first backend that loads: ONNX Runtime's C API, else onnxruntime-node's binding. Throws a BackendError with every reason. */
export function defaultBackend(): Backend {
  if (chosen) return chosen;
  const statuses = availableBackends();
  const name = statuses.find(({ problem }) => problem === undefined)?.name;
  if (name === undefined) throw new BackendError(`no backend can be used:\n${statuses.map((s) => `  ${s.name}: ${s.problem}`).join('\n')}`);
  chosen = loadBackend(name);
  return chosen;
}

/** A backend of ONNX Runtime by name; what it needs is loaded when it is first used. */
export function loadBackend(name: BackendName): Backend {
  const backend = [ort, ortNode, ortWeb].find((candidate) => candidate.name === name);
  if (!backend) throw new BackendError(`"${name}" is not a backend of ONNX Runtime; those are: ort, ort-node, ort-web`);
  return backend;
}

/** Threads that this machine runs at once. */
export const availableThreads = (): number => availableParallelism();
