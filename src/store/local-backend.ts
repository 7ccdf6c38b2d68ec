/** A store in a local directory: one file per name, folders as directories, readable by its owner only. */
import { type Dirent, promises as fs } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { isTemporaryName, makeDirectoryDurably, removeFileDurably, writeFileAtomic } from '../core/atomic-file.ts';
import type { Clock } from '../core/clock.ts';
import { systemClock } from '../core/clock.ts';
import { CovaultError, ioError, systemErrorCode } from '../core/errors.ts';
import { type Backend, type BackendFile, type ByteRange, checkBackendName, checkBackendPrefix } from './backend.ts';
import { hasMagic, headerBytes } from './file-header.ts';
import { configName } from './layout.ts';

/**
 * Age in milliseconds from which a temporary file counts as left behind: writing one takes seconds and moves its
 * modification time all along, so nothing that still lives is this old.
 */
const leftoverAgeMs = 60 * 60 * 1000;

/** Files whose sizes are asked for at once. */
const filesAtOnce = 64;

/** Names, in the root of a file system, that belong to the file system and not to the store. */
const foreignFolders = new Set(['lost+found']);

/**
 * A backend in `directory`, which need not exist before the first write; then it is made, with mode 0700, files with
 * 0600.
 */
export function openLocalBackend(directory: string, options: { clock?: Clock } = {}): Backend {
  const clock = options.clock ?? systemClock;
  const pathOf = (name: string) => {
    checkBackendName(name);
    return join(directory, name);
  };
  return {
    location: directory,
    async list(prefix) {
      checkBackendPrefix(prefix);
      const files: BackendFile[] = [];
      await eachFile(directory, prefix, async (name, path) => {
        if (isTemporaryName(basename(path))) return;
        const bytes = await sizeOf(path);
        if (bytes !== undefined) files.push({ name, bytes });
      });
      return files.sort((a, b) => (a.name < b.name ? -1 : 1));
    },
    read: (name, range) => readFile(pathOf(name), range),
    async write(name, chunks) {
      const path = pathOf(name);
      if ((await sizeOf(path)) !== undefined) return checkEqual(path, chunks);
      await makeDirectoryDurably(dirname(path));
      await writeFileAtomic(path, chunks);
    },
    async remove(name) {
      await removeFileDurably(pathOf(name));
    },
    size: (name) => sizeOf(pathOf(name)),
    async freeBytes() {
      try {
        const { bavail, bsize } = await fs.statfs(directory);
        return bavail * bsize;
      } catch (error) {
        throw ioError(error, `read the free space of ${directory}`);
      }
    },
    async removeLeftovers() {
      await eachFile(directory, '', async (_name, path) => {
        if (!isTemporaryName(basename(path))) return;
        const changedMs = await fs.lstat(path).then(
          (status) => status.mtimeMs,
          () => undefined,
        );
        if (changedMs !== undefined && clock.nowMs() - changedMs > leftoverAgeMs) await removeFileDurably(path);
      });
    },
  };
}

/** Calls `visit` for everything below the folder `prefix` that is not a directory, many at once. */
async function eachFile(
  directory: string,
  prefix: string,
  visit: (name: string, path: string) => Promise<void>,
): Promise<void> {
  const entries = await readFolder(join(directory, prefix));
  const names = entries.filter((entry) => !entry.isDirectory()).map((entry) => prefix + entry.name);
  for (let at = 0; at < names.length; at += filesAtOnce) {
    await Promise.all(names.slice(at, at + filesAtOnce).map((name) => visit(name, join(directory, name))));
  }
  for (const entry of entries) {
    const isForeign = prefix === '' && foreignFolders.has(entry.name);
    if (entry.isDirectory() && !isForeign) await eachFile(directory, `${prefix}${entry.name}/`, visit);
  }
}

async function readFolder(path: string): Promise<Dirent[]> {
  try {
    return await fs.readdir(path, { withFileTypes: true });
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return [];
    throw ioError(error, `list ${path}`);
  }
}

/** Bytes of what is at `path`; undefined if nothing is. */
async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await fs.lstat(path)).size;
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw ioError(error, `read ${path}`);
  }
}

async function readFile(path: string, range: ByteRange | undefined): Promise<Uint8Array> {
  let file: fs.FileHandle | undefined;
  try {
    file = await fs.open(path, 'r');
    const offset = range?.offset ?? 0;
    const bytes = Buffer.allocUnsafeSlow(range?.length ?? (await file.stat()).size);
    let filled = 0;
    while (filled < bytes.byteLength) {
      const { bytesRead } = await file.read(bytes, filled, bytes.byteLength - filled, offset + filled);
      if (bytesRead === 0) throw new CovaultError('E_CORRUPT', `${path} ends at byte ${offset + filled}, too early`);
      filled += bytesRead;
    }
    return bytes;
  } catch (error) {
    throw ioError(error, `read ${path}`);
  } finally {
    await file?.close();
  }
}

async function checkEqual(path: string, chunks: readonly Uint8Array[]): Promise<void> {
  const existing = await readFile(path, undefined);
  if (Buffer.compare(existing, Buffer.concat(chunks)) !== 0) {
    throw new CovaultError('E_EXISTS', `${path} exists with other content`);
  }
}

/**
 * Whether `directory` is a store: has a config that begins like one.
 *
 * @throws CovaultError `E_IO`.
 */
export async function isStore(directory: string): Promise<boolean> {
  let file: fs.FileHandle | undefined;
  try {
    file = await fs.open(join(directory, configName), 'r');
    const bytes = Buffer.alloc(headerBytes);
    await file.read(bytes, 0, headerBytes, 0);
    return hasMagic(bytes);
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'EISDIR'].includes(systemErrorCode(error) ?? '')) return false;
    throw ioError(error, `read ${directory}`);
  } finally {
    await file?.close();
  }
}
