/** Frames of the engine itself; an error points at the first frame outside of them. */
const engineFrame = /[\\/](?:src|dist)[\\/]tensor[\\/]/;

/** Returns "file:line:column" of the nearest caller outside the engine, or undefined. */
export function callerOf(stack: string | undefined): string | undefined {
  if (!stack) return undefined;
  for (const line of stack.split('\n').slice(1)) {
    if (engineFrame.test(line) || line.includes('node:internal')) continue;
    const match = /\(?((?:file:\/\/|[A-Za-z]:)?[^()\s]+:\d+:\d+)\)?\s*$/.exec(line);
    if (match?.[1]) return match[1].replace(/^file:\/\//, '');
  }
  return undefined;
}

/** Base of every error that Vitro raises on purpose: says what is wrong and what to do instead. */
export class VitroError extends Error {
  override name = 'VitroError';
}

/** Wrong rank, shape, dtype or attribute of an operation. The message names the op, the shapes and the caller's line. */
export class OpError extends VitroError {
  override name = 'OpError';
  constructor(
    readonly op: string,
    detail: string,
    where?: string,
  ) {
    super('');
    const at = where ?? callerOf(this.stack);
    this.message = `${op}: ${detail}${at ? `\n    at ${at}` : ''}`;
  }
}

/** An array or compiled function that was used after dispose or donation. */
export class DisposedError extends VitroError {
  override name = 'DisposedError';
}

/** A backend or device that is missing or failed. */
export class BackendError extends VitroError {
  override name = 'BackendError';
}
