import { closeSync, fsyncSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { CompletionRow } from '../../train/rl/log.js';

const chunk = 1 << 16;

/** completions.jsonl of a run: a line for every completion of every step, in step with the checkpoints. */
export class CompletionsFile {
  #file: number | undefined;

  constructor(readonly folder: string) {}

  /** Opens the file and cuts it back to the steps up to the given one. */
  start(step: number): void {
    this.close();
    this.#file = openSync(join(this.folder, 'completions.jsonl'), 'a+');
    ftruncateSync(this.#file, step === 0 ? 0 : this.#endOf(step));
  }

  /** Where the whole lines of the steps up to the given one end, in bytes. */
  #endOf(step: number): number {
    const buffer = Buffer.alloc(chunk);
    let rest = Buffer.alloc(0);
    let end = 0;
    for (let at = 0; ; ) {
      const read = readSync(this.#file as number, buffer, 0, chunk, at);
      if (read === 0) return end;
      at += read;
      rest = Buffer.concat([rest, buffer.subarray(0, read)]);
      for (let line = rest.indexOf(10); line >= 0; line = rest.indexOf(10)) {
        const own = (JSON.parse(rest.subarray(0, line).toString()) as CompletionRow).step;
        if (typeof own !== 'number' || own > step) return end;
        end += line + 1;
        rest = rest.subarray(line + 1);
      }
    }
  }

  write(rows: readonly CompletionRow[]): void {
    if (this.#file !== undefined) writeSync(this.#file, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  }

  /** Waits until the disk has the lines. */
  sync(): void {
    if (this.#file !== undefined) fsyncSync(this.#file);
  }

  close(): void {
    if (this.#file !== undefined) closeSync(this.#file);
    this.#file = undefined;
  }
}
