/**
 * Mounting for ordinary users through `fusermount3`, the set-uid helper of the `fuse3` package. It opens /dev/fuse,
 * mounts, and sends the descriptor over a Unix socket whose number stands in the variable _FUSE_COMMFD.
 */
import { spawn } from 'node:child_process';
import { closeSync, constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { CovaultError } from '../core/errors.ts';
import { loadAddon } from './addon.ts';

/** Where the helper is looked for unless the caller knows better. */
const usualSearchPath = '/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin:/run/wrappers/bin';

/** Number that the socket gets in the helper: the first after the standard ones. */
const helperSocket = 3;

/**
 * The path of `fusermount3`.
 *
 * @throws CovaultError `E_REQUIREMENT` if there is none.
 */
export async function findFusermount(searchPath: string = usualSearchPath): Promise<string> {
  for (const directory of searchPath.split(delimiter).filter(Boolean)) {
    const path = join(directory, 'fusermount3');
    try {
      await access(path, constants.X_OK);
      return path;
    } catch {
      // Not here.
    }
  }
  throw new CovaultError('E_REQUIREMENT', 'fusermount3, with which users other than root mount, is not installed', {
    hint: 'apt install fuse3',
  });
}

/**
 * Mounts and returns the descriptor of /dev/fuse, which the caller closes.
 *
 * @param options as `fusermount3 -o` takes them.
 * @throws CovaultError `E_MOUNT` with what the helper said.
 */
export async function mountWithHelper(helper: string, mountpoint: string, options: string): Promise<number> {
  const addon = loadAddon();
  const [ours, theirs] = addon.socketPair();
  try {
    const result = await run(helper, ['-o', options, '--', mountpoint], theirs);
    if (result.status !== 0) throw refusal(`${mountpoint} cannot be mounted`, result.said);
    return addon.receiveDescriptor(ours);
  } finally {
    closeSync(ours);
    closeSync(theirs);
  }
}

/**
 * @param lazy detach at once; the mount ends when its last user has gone.
 * @returns whether it was unmounted; false if it is in use.
 * @throws CovaultError `E_MOUNT` for any other refusal.
 */
export async function unmountWithHelper(helper: string, mountpoint: string, lazy: boolean): Promise<boolean> {
  const result = await run(helper, ['-u', ...(lazy ? ['-z'] : []), '--', mountpoint], 'ignore');
  if (result.status === 0) return true;
  if (/busy/i.test(result.said)) return false;
  throw refusal(`${mountpoint} cannot be unmounted`, result.said);
}

function refusal(what: string, said: string): CovaultError {
  const hint = /open \/dev\/fuse/.test(said) ? 'run `chmod a+rw /dev/fuse` as root' : undefined;
  return new CovaultError('E_MOUNT', `${what}: ${said.trim() || 'fusermount3 failed'}`, hint ? { hint } : {});
}

function run(helper: string, args: string[], socket: number | 'ignore'): Promise<{ status: number; said: string }> {
  return new Promise((resolve, reject) => {
    // The messages are looked at, so they must not be translated.
    const env = { _FUSE_COMMFD: String(helperSocket), LC_ALL: 'C' };
    const child = spawn(helper, args, { env, stdio: ['ignore', 'ignore', 'pipe', socket] });
    let said = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    child.once('error', (cause) =>
      reject(new CovaultError('E_MOUNT', `${helper} cannot be run`, { cause, hint: 'apt install fuse3' })),
    );
    child.once('close', (status) => resolve({ status: status ?? 1, said }));
  });
}
