/**
 * Files that are there whole or not at all, and that stay there: temporary file in the same directory, fsync, rename,
 * fsync of the directory. The only place that writes files whose loss would matter.
 */
import { type FileHandle, mkdir, open, rename, rm, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { randomId } from './clock.ts';
import { checkInterrupted, ioError, systemErrorCode } from './errors.ts';

export interface AtomicWriteOptions {
  /** Permission bits of the new file; 0o600 if not given. */
  mode?: number;
  signal?: AbortSignal;
}

/** Chunks handed to the kernel in one call: what Linux takes at once (IOV_MAX). */
const chunksPerWrite = 1024;

const temporaryName = /^\..+\.[0-9a-f]{32}\.tmp$/;

/** Whether `name` (without a directory) is one that an interrupted `writeFileAtomic` may have left behind. */
export function isTemporaryName(name: string): boolean {
  return temporaryName.test(name);
}

/**
 * Writes `content` to `path`, replacing what is there. When it resolves, the file and its name are durable; when it
 * rejects, `path` is as it was and the temporary file is gone. A killed process may leave a temporary file
 * (`isTemporaryName`). Chunks are borrowed until then.
 *
 * @throws CovaultError `E_NO_SPACE`, `E_NOT_FOUND` (the directory), `E_IO`, `E_INTERRUPTED`.
 */
export async function writeFileAtomic(
  path: string,
  content: string | Uint8Array | readonly Uint8Array[],
  options: AtomicWriteOptions = {},
): Promise<void> {
  const temporary = join(dirname(path), `.${basename(path)}.${randomId()}.tmp`);
  try {
    await writeNewFile(temporary, asChunks(content), options);
    checkInterrupted(options.signal);
    await rename(temporary, path);
    await syncDirectory(dirname(path));
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined);
    throw ioError(error, `write ${path}`);
  }
}

/**
 * Removes a file so that it stays removed after a power cut.
 *
 * @returns whether it was there.
 * @throws CovaultError `E_IO`.
 */
export async function removeFileDurably(path: string): Promise<boolean> {
  try {
    await unlink(path);
    await syncDirectory(dirname(path));
    return true;
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return false;
    throw ioError(error, `remove ${path}`);
  }
}

/**
 * Makes a directory and the missing ones above it, each durable before the next. `mode` applies to all that are made;
 * 0o700 if not given. One that exists is left as it is.
 *
 * @throws CovaultError `E_NO_SPACE`, `E_IO`.
 */
export async function makeDirectoryDurably(path: string, options: { mode?: number } = {}): Promise<void> {
  try {
    await makeDirectory(path, options.mode ?? 0o700);
  } catch (error) {
    throw ioError(error, `make directory ${path}`);
  }
}

async function makeDirectory(path: string, mode: number): Promise<void> {
  try {
    await mkdir(path, { mode });
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === 'EEXIST') return;
    if (code !== 'ENOENT' || dirname(path) === path) throw error;
    await makeDirectory(dirname(path), mode);
    await makeDirectory(path, mode);
    return;
  }
  await syncDirectory(dirname(path));
}

async function writeNewFile(path: string, chunks: readonly Uint8Array[], options: AtomicWriteOptions): Promise<void> {
  const file = await open(path, 'wx', options.mode ?? 0o600);
  try {
    for (let at = 0; at < chunks.length; at += chunksPerWrite) {
      checkInterrupted(options.signal);
      await writeAll(file, chunks.slice(at, at + chunksPerWrite));
    }
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Writes all of `chunks` at the file's position; the kernel may take only a part of what it is offered. */
async function writeAll(file: FileHandle, chunks: readonly Uint8Array[]): Promise<void> {
  let rest = chunks.filter((chunk) => chunk.byteLength > 0);
  while (rest.length > 0) {
    const { bytesWritten } = await file.writev(rest);
    rest = afterBytes(rest, bytesWritten);
  }
}

/** What is left of `chunks` when the first `count` bytes are gone. */
function afterBytes(chunks: readonly Uint8Array[], count: number): Uint8Array[] {
  let skip = count;
  for (const [position, chunk] of chunks.entries()) {
    if (skip < chunk.byteLength) return [chunk.subarray(skip), ...chunks.slice(position + 1)];
    skip -= chunk.byteLength;
  }
  return [];
}

/** Some network file systems cannot sync directories and say so; there is nothing more to be done on them. */
async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } catch (error) {
    if (!['EINVAL', 'ENOTSUP'].includes(systemErrorCode(error) ?? '')) throw error;
  } finally {
    await directory.close();
  }
}

function asChunks(content: string | Uint8Array | readonly Uint8Array[]): readonly Uint8Array[] {
  if (typeof content === 'string') return [Buffer.from(content)];
  return content instanceof Uint8Array ? [content] : content;
}
