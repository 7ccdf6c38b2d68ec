/**
 * The addon's plain functions: what Node.js lacks, for the main thread and for workers. All but `syncFileSystem` are
 * synchronous. A failed system call throws an Error as Node.js makes it, with `code`, `errno`, `syscall` and `path`.
 */
import type { CutParameters } from '../core/domain.ts';
import { CovaultError, isCovaultError } from '../core/errors.ts';
import type { Xattr } from '../core/tree.ts';
import { loadAddon, type NodeReference } from './addon.ts';

export type { NodeReference } from './addon.ts';

/** Why the addon cannot be used here (`E_REQUIREMENT`), or undefined if it can. */
export function addonProblem(): CovaultError | undefined {
  try {
    loadAddon();
    return undefined;
  } catch (error) {
    if (isCovaultError(error)) return error;
    throw error;
  }
}

/**
 * Cuts by content (FastCDC, normalised chunking level 2): the lengths of all blocks of `bytes` that are decided, in
 * order. A pure function of the content and the parameters.
 *
 * @param bytes begins at a block boundary (the start of the file or the end of a block).
 * @param last the file ends with `bytes`: the lengths add up to all of them. Otherwise the end may be undecided and is
 *   left out; give it again with more bytes after it. `cut.maxBytes` bytes always decide.
 * @throws CovaultError `E_BAD_INPUT` if the parameters are not in order.
 */
export function cutBlocks(bytes: Uint8Array, cut: CutParameters, last: boolean): Uint32Array {
  const { minBytes, normalBytes, maxBytes } = cut;
  const inOrder = [1, minBytes, normalBytes, maxBytes, 2 ** 31].every(
    (value, position, all) => Number.isSafeInteger(value) && (position === 0 || value >= (all[position - 1] as number)),
  );
  if (!inOrder) throw new CovaultError('E_BAD_INPUT', `no cut parameters: ${minBytes}, ${normalBytes}, ${maxBytes}`);
  return loadAddon().cutBlocks(bytes, minBytes, normalBytes, maxBytes, last);
}

/**
 * All extended attributes that the caller may see, of any kind of node, in the order of the file system; none where
 * the file system has none. Does not follow a symlink. The caller owns names and values.
 */
export function listXattrs(node: NodeReference): Xattr[] {
  return loadAddon().listXattrs(node);
}

/** Sets one extended attribute, new or not. Does not follow a symlink. */
export function writeXattr(node: NodeReference, name: Uint8Array | string, value: Uint8Array | string): void {
  loadAddon().writeXattr(node, name, value);
}

/** Does not follow a symlink. Throws `ENODATA` if there is none of that name. */
export function removeXattr(node: NodeReference, name: Uint8Array | string): void {
  loadAddon().removeXattr(node, name);
}

/** Sets times to the nanosecond; undefined leaves one as it is. Does not follow a symlink. */
export function setTimes(node: NodeReference, atimeNs: bigint | undefined, mtimeNs: bigint | undefined): void {
  loadAddon().setTimes(node, atimeNs, mtimeNs);
}

/**
 * Makes a FIFO, socket, device node or empty file.
 *
 * @param mode type and permission bits, as in `stat`; the umask applies.
 * @param rdev the device, as in `stat`; 0n for what is no device.
 */
export function makeNode(path: Uint8Array | string, mode: number, rdev: bigint): void {
  loadAddon().makeNode(path, mode, rdev);
}

/**
 * The first range of data at or after `offset` (what is between such ranges is a hole), or undefined if nothing but
 * holes follows. `end` is where the next hole or the file ends. Moves the position of `fd`.
 */
export function nextDataRange(fd: number, offset: number): { start: number; end: number } | undefined {
  return loadAddon().nextDataRange(fd, offset);
}

/**
 * From now on the disk serves the calling thread only when nobody else needs it, where its scheduler knows priorities
 * (bfq, mq-deadline). Returns whether the kernel has noted it down.
 */
export function setIdleIo(): boolean {
  return loadAddon().setIdleIo();
}

/** Flushes the whole file system of `fd` (not one of O_PATH) to its device, on a thread of its own. */
export function syncFileSystem(fd: number): Promise<void> {
  return loadAddon().syncFileSystem(fd);
}

/**
 * Opens what is beneath a directory, safely against whatever the tree contains: follows no symlink (`ELOOP`), enters no other
 * file system (`EXDEV`), creates nothing, never waits on a FIFO, leaves access times alone where that is permitted.
 *
 * @param directoryFd of any kind, O_PATH too.
 * @param path relative, "/" between names, without "." and ".."; longer than PATH_MAX is fine; empty is the
 *   directory itself.
 * @param flags of open(2), from `constants` of `node:fs`. With O_PATH (0o10000000) a symlink itself can be opened.
 * @returns a descriptor that the caller closes; closed on exec.
 */
export function openNode(directoryFd: number, path: Uint8Array | string, flags: number): number {
  return loadAddon().openNode(directoryFd, path, flags);
}
