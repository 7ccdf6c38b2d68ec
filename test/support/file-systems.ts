/**
 * File systems of a test's own, which only root can make: small ones, and ones that fail. They are mounted within a
 * sandbox and go with it.
 */
import { execFile } from 'node:child_process';
import { accessSync } from 'node:fs';
import { mkdir, open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { needsMount, needsRoot } from './requirements.ts';

const execFileAsync = promisify(execFile);

/** For `skip`: why no file system can be made here, or false. */
export function needsFileSystem(): false | string {
  return needsRoot() || needsMount();
}

type ImageKind = keyof typeof makers;

const makers = {
  // Without a journal there is nothing that a full or failing device would stop before data are concerned.
  ext4: { make: ['-q', '-O', '^has_journal', '-E', 'nodiscard'], mount: 'loop,errors=continue', tools: 'e2fsprogs' },
  btrfs: { make: ['-q'], mount: 'loop', tools: 'btrfs-progs' },
};

/** For `skip`: why no image of this file system can be mounted here, or false. */
export function needsImage(kind: ImageKind = 'ext4'): false | string {
  if (needsFileSystem()) return needsFileSystem();
  try {
    accessSync('/dev/loop-control');
    accessSync(`/sbin/mkfs.${kind}`);
    return false;
  } catch {
    return `there are no loop devices, or no mkfs.${kind} (apt install ${makers[kind].tools})`;
  }
}

/**
 * A file system in memory, mounted at `place`, which is made.
 *
 * @param options as `mount -o` takes them, `size=1m` for instance.
 */
export async function mountMemory(place: string, options: string): Promise<void> {
  await mkdir(place, { recursive: true });
  await execFileAsync('mount', ['-t', 'tmpfs', '-o', options, 'covault-test', place]);
}

/**
 * A file system of its own, mounted at `place`, which is made.
 *
 * @param image where its blocks are; nothing of them is allocated but what is written. By default beside `place`.
 */
export async function mountImage(
  place: string,
  { kind = 'ext4' as ImageKind, megabytes = 16, image = `${place}.image` } = {},
): Promise<void> {
  await mkdir(place, { recursive: true });
  const file = await open(image, 'wx');
  await file.truncate(megabytes * 2 ** 20);
  await file.close();
  await execFileAsync(`/sbin/mkfs.${kind}`, [...makers[kind].make, image]);
  // The device is freed when the file system is unmounted.
  await execFileAsync('mount', ['-o', makers[kind].mount, image, place]);
}

/** Takes the device away from an ext4, as when its disk dies: from now on what is not cached fails with EIO. */
export async function killFileSystem(place: string): Promise<void> {
  await execFileAsync('python3', [join(import.meta.dirname, 'kill_file_system.py'), place]);
}

/** Allows reading only, for everybody. */
export async function makeReadOnly(place: string): Promise<void> {
  await execFileAsync('mount', ['-o', 'remount,ro', place]);
}

/** Changes of the file system wait until it is thawed; even processes that are killed do. */
export async function freeze(place: string): Promise<void> {
  await execFileAsync('fsfreeze', ['--freeze', place]);
}

export async function thaw(place: string): Promise<void> {
  await execFileAsync('fsfreeze', ['--unfreeze', place]);
}

/** Fills the file system that `path` is on with zeros in a new file at `path`. */
export async function fillUp(path: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const file = await open(path, 'wx');
  try {
    const zeros = Buffer.alloc(2 ** 16);
    for (;;) await file.write(zeros);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
  } finally {
    await file.close();
  }
}
