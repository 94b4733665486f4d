/**
 * The same training step in other implementations, each in a process of its own: PyTorch's eager CPU mode (`torchTrain.py`) and jax-js's
 * wasm device (`jaxjsTrain.mjs`). Run them while nothing else is busy: PyTorch's threads wait for each other spinning, and another busy
 * process can make its step ten times slower.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The line a peer prints. */
export interface PeerResult {
  /** Median milliseconds of one whole step (forward, backward, clipping, AdamW) on the whole batch, warm-up steps left out. */
  readonly step_ms: number;
  /** Milliseconds of every step as measured, warm-up included. */
  readonly all_ms: readonly number[];
  /** Mean cross-entropy in nats at the first and at the last step. */
  readonly losses: readonly [first: number, last: number];
  readonly version: string;
  readonly threads: number;
  readonly params: number;
  /** Tokens per measured step. */
  readonly tokens: number;
  /** True where the peer could not run the whole batch, and `step_ms` is scaled from `tokens` up to it. */
  readonly scaled: boolean;
}

export interface Skipped {
  /** Why there is no figure, in a sentence to print. */
  readonly skipped: string;
}

export interface PeerOptions {
  /** Steps to run, warm-up included (PyTorch leaves out 3, jax-js 1). */
  readonly steps?: number;
  /** Limit on the whole process, in milliseconds. */
  readonly timeoutMs?: number;
}

interface Finished {
  readonly ok: boolean;
  readonly stdout: string;
  readonly problem: string;
}

function finish(command: string, args: readonly string[], timeoutMs: number): Promise<Finished> {
  return new Promise((resolve) => {
    execFile(command, args, { timeout: timeoutMs, killSignal: 'SIGKILL', maxBuffer: 1 << 24 }, (error, stdout, stderr) => {
      if (error === null) return resolve({ ok: true, stdout, problem: '' });
      const lastLine =
        stderr
          .trim()
          .split('\n')
          .findLast((line) => /error|usage/i.test(line)) ?? error.message;
      resolve({ ok: false, stdout, problem: error.killed ? `it did not finish in ${timeoutMs / 1000} s` : lastLine.trim() });
    });
  });
}

/** A script of this folder; it is looked for upwards from here, because compiled code lies elsewhere than the scripts. */
function script(name: string): string {
  for (let folder = dirname(fileURLToPath(import.meta.url)); ; folder = dirname(folder)) {
    const path = join(folder, 'bench', 'peers', name);
    if (existsSync(path)) return path;
    if (dirname(folder) === folder) throw new Error(`bench/peers/${name} is not in any folder above ${fileURLToPath(import.meta.url)}`);
  }
}

/** Reads a peer's line of JSON; throws where a field is missing or of another type, which would be a fault of the script. */
export function parsePeer(line: string): PeerResult {
  const raw: Partial<Record<keyof PeerResult, unknown>> = JSON.parse(line);
  const numbers = [raw.step_ms, raw.threads, raw.params, raw.tokens, ...[raw.all_ms, raw.losses].flat()];
  const numeric = numbers.every((x) => typeof x === 'number' && Number.isFinite(x));
  const pair = Array.isArray(raw.losses) && raw.losses.length === 2;
  if (!numeric || !pair || !Array.isArray(raw.all_ms) || typeof raw.version !== 'string' || typeof raw.scaled !== 'boolean') {
    throw new Error(`a peer printed a line without the expected fields: ${line}`);
  }
  return raw as PeerResult;
}

async function runPeer(label: string, command: string, args: readonly string[], timeoutMs: number): Promise<PeerResult | Skipped> {
  const done = await finish(command, args, timeoutMs);
  if (!done.ok) return { skipped: `${label} failed: ${done.problem}` };
  return parsePeer(done.stdout.trim().split('\n').at(-1) ?? '');
}

/** The first Python that has PyTorch 2: the one VITRO_PYTHON names and no other, else python3, else python. */
async function findPython(): Promise<string | undefined> {
  const named = process.env.VITRO_PYTHON;
  for (const python of named ? [named] : ['python3', 'python']) {
    const probe = await finish(python, ['-c', 'import torch; assert int(torch.__version__.split(".")[0]) >= 2'], 60_000);
    if (probe.ok) return python;
  }
  return undefined;
}

/**
 * Times PyTorch's eager CPU mode on two threads; says why where no Python with PyTorch is to be found.
 * `workload` is gpt-5.7m, gpt-28m or tiny (milliseconds, for tests of the plumbing), here and for jax-js.
 */
export async function runTorch(workload: string, { steps = 15, timeoutMs = 300_000 }: PeerOptions = {}): Promise<PeerResult | Skipped> {
  const python = await findPython();
  if (python === undefined) {
    const where = process.env.VITRO_PYTHON ? 'the Python named by VITRO_PYTHON' : 'python3 or python';
    return { skipped: `PyTorch 2 is not in ${where}; install torch, or set VITRO_PYTHON to a Python that has it` };
  }
  return runPeer('PyTorch', python, [script('torchTrain.py'), workload, String(steps)], timeoutMs);
}

/**
 * Times jax-js on its wasm device. `threads` 1 is what jax-js does in Node as it is; 2 (default) gives it a stand-in for the browser's
 * `Worker`, which is faster on an idle machine of two cores.
 */
export async function runJaxjs(
  workload: string,
  { steps = 5, timeoutMs = 300_000, threads = 2 }: PeerOptions & { readonly threads?: 1 | 2 } = {},
): Promise<PeerResult | Skipped> {
  return runPeer('jax-js', process.execPath, [script('jaxjsTrain.mjs'), workload, String(steps), String(threads)], timeoutMs);
}
