/** Where a command writes: results to stdout, progress and errors to stderr. */
export interface Io {
  readonly stdout: NodeJS.WritableStream & { readonly isTTY?: boolean; readonly columns?: number };
  readonly stderr: NodeJS.WritableStream & { readonly isTTY?: boolean; readonly columns?: number };
}

/** Exit codes: 0 done, 1 failed, 2 wrong usage, 130 stopped by Ctrl-C. */
export const exitCodes = { done: 0, failed: 1, usage: 2, interrupted: 130 } as const;

/** Width and colours of an output: colours on a terminal alone, and not where NO_COLOR is set. */
export const lookOf = (output: Io['stdout'], env: NodeJS.ProcessEnv = process.env): { width: number; colour: boolean } => ({
  width: output.columns ?? 120,
  colour: output.isTTY === true && !env.NO_COLOR,
});
