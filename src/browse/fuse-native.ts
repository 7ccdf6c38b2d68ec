/**
 * The door to `fuse-native`, an optional dependency: it serves the read-only tree where the addon cannot be built. It
 * answers one request at a time in JavaScript, and has the limits told in `path-operations.ts`.
 */
import { lstat, readdir, realpath } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { CovaultError, systemErrorCode } from '../core/errors.ts';
import type { ReadOnlyTree } from '../fs/tree-session.ts';
import { type PathOperations, pathOperations } from './path-operations.ts';

type Done = (error?: Error | null) => void;

/** What is used of the package. */
interface FuseNative {
  new (mountpoint: string, operations: PathOperations, options: Record<string, unknown>): { mount(done: Done): void };
  unmount(mountpoint: string, done: Done): void;
}

export interface FuseNativeSession {
  mountpoint: string;
  unmount(): Promise<void>;
  /** Resolves when it is unmounted; from outside, within some seconds. */
  closed: Promise<void>;
}

/** The package tells nobody that somebody else has unmounted; it is looked for this often. */
const lookEveryMs = 2000;

/** @throws CovaultError `E_REQUIREMENT` if the package or what it needs is missing on this machine. */
export function loadFuseNative(): FuseNative {
  const require = createRequire(import.meta.url);
  try {
    return require('fuse-native') as FuseNative;
  } catch (cause) {
    throw new CovaultError('E_REQUIREMENT', 'neither the addon nor the package fuse-native can be loaded', {
      cause,
      hint: 'run `npm run build` in the directory of Covault; it needs g++, make and python3',
    });
  }
}

/** @throws CovaultError `E_REQUIREMENT`, `E_BAD_INPUT`, `E_NOT_FOUND` or `E_MOUNT`. */
export async function mountWithFuseNative(path: string, tree: ReadOnlyTree): Promise<FuseNativeSession> {
  const Fuse = loadFuseNative();
  const mountpoint = await emptyDirectory(path);
  const fuse = new Fuse(mountpoint, pathOperations(tree), {
    // The package has no names for these options; what it is given here ends up in the same list. `use_ino` lets
    // names of one file show one inode number.
    fsname: 'covault,ro,nosuid,nodev,use_ino',
    subtype: 'covault',
    defaultPermissions: true,
    allowOther: process.geteuid?.() === 0,
    // Answers may take as long as the store takes.
    timeout: false,
  });
  await called((done) => fuse.mount(done)).catch((cause: unknown) => {
    throw new CovaultError('E_MOUNT', `${mountpoint} cannot be mounted by fuse-native`, {
      cause,
      hint: 'make sure that FUSE is installed (Debian: `apt install fuse3`) and that /dev/fuse can be opened',
    });
  });
  return session(Fuse, mountpoint);
}

function session(Fuse: FuseNative, mountpoint: string): FuseNativeSession {
  const watch = new AbortController();
  let unmounting: Promise<void> | undefined;
  const end = async () => {
    try {
      await called((done) => Fuse.unmount(mountpoint, done));
    } catch (cause) {
      unmounting = undefined;
      throw new CovaultError('E_MOUNT', `${mountpoint} cannot be unmounted`, { cause });
    }
    watch.abort();
  };
  return {
    mountpoint,
    unmount: () => {
      unmounting ??= watch.signal.aborted ? Promise.resolve() : end();
      return unmounting;
    },
    closed: goneFrom(mountpoint, watch),
  };
}

/** Resolves when `watch` is aborted or nothing is mounted there any more; then `watch` is aborted. */
async function goneFrom(mountpoint: string, watch: AbortController): Promise<void> {
  const isMounted = async () => {
    const [inside, around] = await Promise.all([lstat(mountpoint), lstat(dirname(mountpoint))]);
    return inside.dev !== around.dev;
  };
  while (!watch.signal.aborted) {
    await delay(lookEveryMs, undefined, { signal: watch.signal, ref: false }).catch(() => undefined);
    if (!watch.signal.aborted && !(await isMounted().catch(() => false))) watch.abort();
  }
}

async function emptyDirectory(path: string): Promise<string> {
  try {
    const mountpoint = await realpath(path);
    if ((await readdir(mountpoint)).length === 0) return mountpoint;
  } catch (cause) {
    const code = systemErrorCode(cause);
    if (code === 'ENOENT') throw new CovaultError('E_NOT_FOUND', `the mountpoint ${path} does not exist`, { cause });
    throw new CovaultError('E_BAD_INPUT', `the mountpoint ${path} cannot be used (${code})`, { cause });
  }
  throw new CovaultError('E_BAD_INPUT', `the mountpoint ${path} is not empty`, { hint: 'name an empty directory' });
}

function called(act: (done: Done) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    act((error) => (error ? reject(error) : resolve()));
  });
}
