/** Keeps mounts and restores out of directories of Covault's own, such as the store that is being read. */
import { realpath } from 'node:fs/promises';
import { basename, dirname, join, resolve, sep } from 'node:path';
import { CovaultError } from '../core/errors.ts';

/**
 * @param path may not exist yet; the directory above it must.
 * @throws CovaultError `E_BAD_INPUT` if it is one of `keepOut`, or within one, by whatever symlinks.
 */
export async function checkKeptOut(path: string, keepOut: readonly string[]): Promise<void> {
  const real = await realpathAhead(resolve(path));
  for (const kept of keepOut) {
    const realKept = await realpathAhead(resolve(kept));
    if (real !== realKept && !real.startsWith(`${realKept}${sep}`)) continue;
    throw new CovaultError('E_BAD_INPUT', `${path} is within ${kept}, which Covault uses itself`, {
      hint: 'choose another place',
    });
  }
}

/** The path without symlinks, as far as it exists. */
async function realpathAhead(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch {
    return path === dirname(path) ? path : join(await realpathAhead(dirname(path)), basename(path));
  }
}
