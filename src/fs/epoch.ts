/**
 * Reading a data directory as it was at a cut, from any thread, by the epoch's number. Functions are synchronous unless
 * they say otherwise, and throw an Error as Node.js makes it: `ECANCELED` if the epoch is not open any more, `ESTALE` if
 * a path led to another inode. Paths are those of the cut.
 */
import type { Xattr } from '../core/tree.ts';
import { type EpochFile, loadAddon } from './addon.ts';

export type { EpochFile } from './addon.ts';

/** A moment of the data directory that stays readable until it is closed, or until what it keeps grows too large. */
export interface Epoch {
  readonly id: number;
  /** Nanoseconds since 1970. */
  readonly timeNs: bigint;
  /** For how long changes were held up, nanoseconds. */
  readonly heldNs: number;
  /** Why it cannot be read any more; empty while it can. */
  failure(): string;
  /** Gives back what was kept. Idempotent. */
  close(): Promise<void>;
}

/** Makes epochs of one data directory. */
export interface EpochSource {
  /**
   * Makes a cut. Everything up to it has been given to the mutations' consumer when this resolves, then `number`, then
   * perhaps what came afterwards.
   *
   * @param number chosen by the caller, so that it knows its own.
   * @throws CovaultError `E_IO`, `E_NO_SPACE`, `E_BUSY` if a change that is under way does not end.
   */
  openEpoch(number: bigint): Promise<Epoch>;
}

/** Attributes of an inode at a cut. */
export interface EpochAttributes {
  inode: bigint;
  /** Type and permissions, as in `stat`. */
  mode: number;
  uid: number;
  gid: number;
  nlink: number;
  size: number;
  mtimeNs: bigint;
  ctimeNs: bigint;
  rdev: bigint;
  /** Another file system is mounted there; the attributes are those of its root. */
  isForeign: boolean;
  target?: Uint8Array;
  xattrs: Xattr[];
}

/** What `names` in a directory led to; undefined where there was nothing. */
export function lookInEpoch(
  epoch: number,
  directory: bigint,
  path: Uint8Array,
  names: readonly Uint8Array[],
): { self: EpochAttributes; states: (EpochAttributes | undefined)[] } {
  return loadAddon().lookInEpoch(epoch, directory, path, names);
}

/** The names in a directory, in ascending order of their bytes. */
export function namesInEpoch(epoch: number, directory: bigint, path: Uint8Array): Uint8Array[] {
  return loadAddon().namesInEpoch(epoch, directory, path);
}

/** Opens a regular file; the caller closes it. */
export function openInEpoch(epoch: number, path: Uint8Array, inode: bigint): EpochFile {
  const { EpochFile } = loadAddon();
  return new EpochFile(epoch, path, inode);
}
