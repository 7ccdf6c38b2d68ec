/** The state directory of a member: its place, and that one process at a time uses it. */
import { stat } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { makeDirectoryDurably } from '../core/atomic-file.ts';
import { CovaultError, systemErrorCode } from '../core/errors.ts';

export interface LockedStateDirectory {
  path: string;
  /** Lets the next process in. Idempotent. */
  release(): Promise<void>;
}

export function controlSocketPath(stateDirectory: string): string {
  return join(stateDirectory, 'control.sock');
}

/**
 * Makes the directory if needed and locks it until released or until this process ends, however it ends: the lock is
 * a socket in the kernel's abstract namespace, named after the directory's inode, so that there is no stale lock.
 *
 * @throws CovaultError `E_BUSY` if another process has it, `E_IO`.
 */
export async function lockStateDirectory(path: string): Promise<LockedStateDirectory> {
  await makeDirectoryDurably(path);
  const { dev, ino } = await stat(path, { bigint: true });
  const server = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) => reject(lockError(path, cause)));
    server.listen(`\0covault-state-${dev}-${ino}`, resolve);
  });
  server.unref();
  return {
    path,
    release: () => new Promise((resolve) => server.close(() => resolve())),
  };
}

function lockError(path: string, cause: unknown): CovaultError {
  if (systemErrorCode(cause) !== 'EADDRINUSE') {
    return new CovaultError('E_IO', `cannot lock the state directory ${path}`, { cause });
  }
  return new CovaultError('E_BUSY', `another covault process uses the state directory ${path}`, {
    hint: 'stop it, or give this one a directory of its own with --state',
  });
}
