/** Seconds by what they were spent on. */
export class Stopwatch {
  readonly seconds: Record<string, number> = {};

  async time<T>(what: string, work: () => Promise<T> | T): Promise<T> {
    const began = performance.now();
    try {
      return await work();
    } finally {
      this.seconds[what] = (this.seconds[what] ?? 0) + (performance.now() - began) / 1000;
    }
  }
}
