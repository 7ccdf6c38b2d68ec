/** Decides whether and where may be mounted: every refusal is made here, before anything is changed. */
import type { Stats } from 'node:fs';
import { readdir, realpath, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { CovaultError, systemErrorCode } from '../core/errors.ts';
import { askServer } from './mount-probe.ts';
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

/**
 * The directory at `path` without symlinks, after dead mounts upon it have been taken away. A mount of ours is asked
 * whether it lives before anything else touches it: what does not answer would hold up the asker.
 */
async function livingDirectory(path: string, what: string, detach: Detach): Promise<string> {
  const absolute = resolve(path);
  const unresolved = join(await resolvePath(dirname(absolute), what), basename(absolute));
  await detachDead(unresolved, detach);
  const place = await resolvePath(unresolved, what);
  if (place !== unresolved) await detachDead(place, detach);
  if (!(await attributesOf(place, what)).isDirectory()) {
    throw new CovaultError('E_BAD_INPUT', `${what} ${path} is not a directory`);
  }
  return place;
}

async function detachDead(place: string, detach: Detach): Promise<void> {
  for (let i = 0; i < deadMountsMax; i++) {
    const isOurs = mountAt(await readMountTable(), place)?.type === covaultMountType;
    if (!isOurs || !(await isDead(place))) return;
    await detach(place);
  }
}

async function resolvePath(path: string, what: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (cause) {
    const code = systemErrorCode(cause);
    if (code === 'ENOENT') {
      throw new CovaultError('E_NOT_FOUND', `${what} ${path} does not exist`, {
        hint: `make it with \`mkdir -p ${path}\``,
      });
    }
    if (code === 'ENOTDIR') throw new CovaultError('E_BAD_INPUT', `${what} ${path} is not a directory`, { cause });
    throw unreachable(path, what, cause);
  }
}

async function attributesOf(place: string, what: string): Promise<Stats> {
  try {
    return await stat(place);
  } catch (cause) {
    throw unreachable(place, what, cause);
  }
}

function unreachable(place: string, what: string, cause: unknown): CovaultError {
  if (!isDeadMountError(systemErrorCode(cause))) {
    return new CovaultError('E_IO', `${what} ${place} cannot be reached (${systemErrorCode(cause)})`, { cause });
  }
  return new CovaultError('E_MOUNT', `${what} ${place} is on a mount whose server is gone`, {
    cause,
    hint: 'take it away with `umount --lazy`',
  });
}

/** The first is what a dead mount answers; the others come while its connection is being taken down. */
function isDeadMountError(code: string | undefined): boolean {
  return code !== undefined && ['ENOTCONN', 'ECONNABORTED', 'ECANCELED'].includes(code);
}

/** @throws CovaultError `E_MOUNT` if the server of the mount neither answers nor is gone. */
async function isDead(place: string): Promise<boolean> {
  const error = await askServer(place);
  if (error !== undefined) return isDeadMountError(error);
  throw new CovaultError('E_MOUNT', `${place} is mounted by Covault, but its daemon does not answer`, {
    hint: `end that daemon, or take the mount away with \`umount --lazy ${place}\``,
  });
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
