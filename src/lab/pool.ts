/** Runs jobs in order, at most `width` at a time. After a failure no further job starts, running ones are awaited, and the first error is thrown. */
export async function runPool<T, R>(jobs: readonly T[], width: number, run: (job: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  const failures: unknown[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < jobs.length && failures.length === 0) {
      const i = next++;
      try {
        results[i] = await run(jobs[i] as T);
      } catch (error) {
        failures.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.max(1, Math.min(width, jobs.length)) }, worker));
  if (failures.length > 0) throw failures[0];
  return results;
}
