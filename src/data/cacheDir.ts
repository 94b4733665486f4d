import { homedir } from 'node:os';
import { join } from 'node:path';

/** Where downloads and token files are kept: VITRO_CACHE, or `vitro` under XDG_CACHE_HOME (default ~/.cache). */
export function cacheDir(env: NodeJS.ProcessEnv = process.env): string {
  return env.VITRO_CACHE || join(env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'vitro');
}
