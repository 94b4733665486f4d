import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BackendError } from '../errors.js';
import type { KernelEvent } from './types.js';

/** A private temporary folder into which ONNX Runtime writes one session's profile. */
export class ProfileFolder {
  readonly #folder = mkdtempSync(join(tmpdir(), `vitro-profile-${process.pid}-`));

  /** To be given to ONNX Runtime as the prefix of the file's name. */
  get prefix(): string {
    return join(this.#folder, 'session');
  }

  /** The kernel events of the finished profile; the files are deleted. */
  take(): KernelEvent[] {
    try {
      const file = readdirSync(this.#folder).find((name) => name.endsWith('.json'));
      if (!file) throw new BackendError('ONNX Runtime wrote no profile');
      return parseProfile(readFileSync(join(this.#folder, file), 'utf8'));
    } finally {
      this.remove();
    }
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

interface TraceEvent {
  readonly cat?: string;
  readonly name?: string;
  readonly dur?: number;
  readonly args?: { readonly op_name?: string; readonly provider?: string };
}

const suffix = '_kernel_time';

/** Kernel executions, in order of their start, from ONNX Runtime's profile (a JSON list in Chrome's trace format). */
export function parseProfile(text: string): KernelEvent[] {
  let events: readonly TraceEvent[];
  try {
    // a profile that was cut short lacks the closing bracket
    const body = text.trim().replace(/,$/, '');
    events = JSON.parse(body.endsWith(']') ? body : `${body}]`) as TraceEvent[];
  } catch {
    throw new BackendError('ONNX Runtime wrote a profile that is not JSON');
  }
  return events
    .filter((e) => e.cat === 'Node' && e.name?.endsWith(suffix))
    .map((e) => ({
      node: (e.name ?? '').slice(0, -suffix.length),
      op: e.args?.op_name ?? '',
      microseconds: e.dur ?? 0,
      provider: e.args?.provider ?? '',
    }));
}
