/** Decides whether and where may be mounted: every refusal is made here, before anything is changed. */
import { lstat, readdir, realpath, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { CovaultError, systemErrorCode } from '../core/errors.ts';
import {
  covaultMountType,
  isWithin,
  type MountEntry,
  mountAt,
  mountContaining,
  readMountTable,
} from './mount-table.ts';

/** Paths without symlinks. */
export interface CheckedPlaces {
  dataDirectory: string;
  mountpoint: string;
  /** What the mount below allows: a mount over it must not allow more. */
  restrictions: { readOnly: boolean; noSuid: boolean; noDevices: boolean; noExecution: boolean };
}

/** Detaches a mount whose daemon is gone. */
export type Detach = (mountpoint: string) => Promise<void>;

/** Dead mounts that may lie upon each other at one place. */
const deadMountsMax = 16;

/**
 * Checks a data directory and where it is to be mounted; takes away dead mounts of Covault that are in the way.
 *
 * @param places `at` is where to mount, by default over the data directory itself; `keepOut` are directories of Covault's own,
 *   which may not exist yet.
 * @throws CovaultError `E_BAD_INPUT`, `E_NOT_FOUND` or `E_MOUNT`.
 */
export async function checkPlaces(
  places: { dataDirectory: string; at: string | undefined; keepOut: readonly string[] },
  detach: Detach,
): Promise<CheckedPlaces> {
  const dataDirectory = await livingDirectory(places.dataDirectory, 'the data directory', detach);
  const mountpoint =
    places.at === undefined ? dataDirectory : await livingDirectory(places.at, 'the mountpoint', detach);
  const table = await readMountTable();
  refuseOurOwn(table, dataDirectory, mountpoint);
  if (mountpoint !== dataDirectory) {
    refuseNested(dataDirectory, mountpoint);
    await refuseFull(mountpoint);
  }
  for (const kept of places.keepOut) refuseKept(await resolveAhead(kept), dataDirectory, mountpoint);
  const options = mountContaining(table, dataDirectory)?.options ?? [];
  return {
    dataDirectory,
    mountpoint,
    restrictions: {
      readOnly: options.includes('ro'),
      noSuid: options.includes('nosuid'),
      noDevices: options.includes('nodev'),
      noExecution: options.includes('noexec'),
    },
  };
}

/** The mountpoint of a read-only tree: an empty directory that nothing of Covault is mounted on. */
export async function checkTreeMountpoint(path: string, detach: Detach): Promise<string> {
  const mountpoint = await livingDirectory(path, 'the mountpoint', detach);
  refuseMounted(await readMountTable(), mountpoint);
  await refuseFull(mountpoint);
  return mountpoint;
}

/** The directory at `path` without symlinks, after dead mounts upon it have been taken away. */
async function livingDirectory(path: string, what: string, detach: Detach): Promise<string> {
  const place = await resolvePlace(path, what);
  for (let i = 0; i < deadMountsMax && (await isDead(place)); i++) {
    const mounted = mountAt(await readMountTable(), place);
    if (mounted?.type !== covaultMountType) {
      throw new CovaultError('E_MOUNT', `${what} ${place} is a mount whose server is gone`, {
        hint: `take it away with \`umount --lazy ${place}\``,
      });
    }
    await detach(place);
  }
  if (!(await stat(place)).isDirectory()) throw new CovaultError('E_BAD_INPUT', `${what} ${path} is not a directory`);
  return place;
}

async function resolvePlace(path: string, what: string): Promise<string> {
  const absolute = resolve(path);
  try {
    return await realpath(absolute);
  } catch (cause) {
    const code = systemErrorCode(cause);
    // A dead mount cannot be looked at, but the way to it can.
    if (code === 'ENOTCONN') return join(await realpath(dirname(absolute)), basename(absolute));
    if (code === 'ENOENT') {
      throw new CovaultError('E_NOT_FOUND', `${what} ${path} does not exist`, {
        hint: `make it with \`mkdir -p ${path}\``,
      });
    }
    if (code === 'ENOTDIR') throw new CovaultError('E_BAD_INPUT', `${what} ${path} is not a directory`, { cause });
    throw new CovaultError('E_IO', `${what} ${path} cannot be reached (${code})`, { cause });
  }
}

async function isDead(place: string): Promise<boolean> {
  try {
    await lstat(place);
    return false;
  } catch (cause) {
    if (systemErrorCode(cause) === 'ENOTCONN') return true;
    throw new CovaultError('E_IO', `${place} cannot be reached (${systemErrorCode(cause)})`, { cause });
  }
}

function refuseOurOwn(table: readonly MountEntry[], dataDirectory: string, mountpoint: string): void {
  refuseMounted(table, mountpoint);
  const below = mountContaining(table, dataDirectory);
  if (below?.type !== covaultMountType) return;
  throw new CovaultError(
    'E_MOUNT',
    `the data directory ${dataDirectory} is on a mount of Covault (${below.mountpoint})`,
    {
      hint: 'name the directory that lies below that mount, or unmount it first',
    },
  );
}

function refuseMounted(table: readonly MountEntry[], mountpoint: string): void {
  if (mountAt(table, mountpoint)?.type !== covaultMountType) return;
  throw new CovaultError('E_MOUNT', `${mountpoint} is mounted by Covault already`, {
    hint: `end that first: \`covault unmount ${mountpoint}\``,
  });
}

function refuseNested(dataDirectory: string, mountpoint: string): void {
  const within = isWithin(mountpoint, dataDirectory)
    ? 'inside'
    : isWithin(dataDirectory, mountpoint)
      ? 'around'
      : undefined;
  if (!within) return;
  throw new CovaultError(
    'E_BAD_INPUT',
    `the mountpoint ${mountpoint} is ${within} the data directory ${dataDirectory}`,
    {
      hint: 'leave the mountpoint out to mount over the data directory itself, or name one elsewhere',
    },
  );
}

async function refuseFull(mountpoint: string): Promise<void> {
  if ((await readdir(mountpoint)).length === 0) return;
  throw new CovaultError('E_BAD_INPUT', `the mountpoint ${mountpoint} is not empty`, {
    hint: 'name an empty directory',
  });
}

function refuseKept(kept: string, dataDirectory: string, mountpoint: string): void {
  for (const place of new Set([dataDirectory, mountpoint])) {
    if (!isWithin(kept, place) && !isWithin(place, kept)) continue;
    throw new CovaultError('E_BAD_INPUT', `${place} and Covault's own directory ${kept} lie within each other`, {
      hint: "keep Covault's state and stores outside of the data directory",
    });
  }
}

/** Resolves symlinks of as much of the path as exists. */
async function resolveAhead(path: string): Promise<string> {
  const absolute = resolve(path);
  try {
    return await realpath(absolute);
  } catch {
    const parent = dirname(absolute);
    return parent === absolute ? absolute : join(await resolveAhead(parent), basename(absolute));
  }
}
