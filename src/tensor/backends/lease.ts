import { DisposedError } from '../errors.js';

/** Lifetime of a native session: closing it waits for the runs under way, and nothing may start afterwards. */
export class Lease {
  #users = 0;
  #closed = false;
  readonly #release: () => void;

  constructor(release: () => void) {
    this.#release = release;
  }

  /** Throws once closed. */
  check(): void {
    if (this.#closed) throw new DisposedError('session was used after dispose');
  }

  /** Runs an asynchronous use of the session. */
  async use<T>(task: () => Promise<T>): Promise<T> {
    this.check();
    this.#users++;
    try {
      return await task();
    } finally {
      this.#users--;
      if (this.#closed && this.#users === 0) this.#release();
    }
  }

  /** Releases now, or when the last use has ended. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#users === 0) this.#release();
  }
}
