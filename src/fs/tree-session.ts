/** A read-only mount whose requests are answered by JavaScript: what `browse` shows of a store. */
import type { Xattr } from '../core/tree.ts';
import { loadAddon, type NativeSession, type SessionCounters } from './addon.ts';
import { Mounted, type UnmountOptions } from './mounted.ts';
import { findMounter } from './mounting.ts';
import { checkTreeMountpoint } from './mountpoint.ts';
import { type SendAnswer, TreeRequests } from './tree-requests.ts';
import { liftWritebackLimits } from './writeback-limits.ts';

/** What `stat` shows of a node. */
export interface NodeAttributes {
  /** The node's number, which is also its inode number. */
  node: bigint;
  /** Type and permission bits. */
  mode: number;
  /** At least 1. */
  nlink: number;
  uid: number;
  gid: number;
  /** As in `stat`; 0n for what is no device. */
  rdev: bigint;
  /** Bytes. */
  size: number;
  /** Allocated, in units of 512 bytes. */
  blocks: number;
  /** Nanoseconds since 1970. */
  atimeNs: bigint;
  mtimeNs: bigint;
  ctimeNs: bigint;
}

/** A name in a directory, without "." and "..". */
export interface DirectoryItem {
  node: bigint;
  /** 1 to 255 bytes, neither "/" nor zero in it. */
  name: Uint8Array;
  /** The type bits count. */
  mode: number;
}

/**
 * A tree to mount. Nodes are numbered by the tree; the root is 1n. A number keeps its meaning (and a file's or symlink's its
 * content) for as long as the tree is mounted. What a function throws is what the user of the mount gets: the errno
 * whose name is the error's `code`, one that fits a CovaultError, else EIO.
 */
export interface ReadOnlyTree {
  lookup(parent: bigint, name: Uint8Array): Promise<NodeAttributes | undefined>;
  attributes(node: bigint): Promise<NodeAttributes>;
  /** All of a directory; called once for each time that it is opened and read. */
  readDirectory(node: bigint): Promise<DirectoryItem[]>;
  readLink(node: bigint): Promise<Uint8Array>;
  /** At most `length` bytes from `offset`; fewer only where the file ends. */
  read(node: bigint, offset: number, length: number): Promise<Uint8Array>;
  listXattrs(node: bigint): Promise<Xattr[]>;
  /** How long the kernel may use attributes and names without asking again; infinity for ever. */
  cacheSeconds(node: bigint): number;
}

export interface TreeMountOptions {
  /** Directories, separated by ":", in which `fusermount3` is looked for; by default the usual ones. */
  searchPath?: string;
  /** Requests under way at once, by default 128; more wait in the kernel. */
  inFlightMax?: number;
}

export interface TreeSession extends AsyncDisposable {
  /** Without symlinks. */
  readonly mountpoint: string;
  counters(): SessionCounters;
  /**
   * Idempotent. Requests under way are answered first, unless lazy.
   *
   * @throws CovaultError `E_MOUNT` if it is in use (unless lazy).
   */
  unmount(options?: UnmountOptions): Promise<void>;
  /** Resolves when it is unmounted, from outside too; rejects with `E_MOUNT` if it failed. */
  readonly closed: Promise<void>;
}

const inFlightMaxDefault = 128;

/**
 * Mounts `tree` at an empty directory. As root everybody may enter as owners and modes say; as anybody else only that user,
 * who may then read all of it.
 * Whoever serves it must not touch the mount from JavaScript: a synchronous
 * call would wait for itself.
 *
 * @throws CovaultError `E_BAD_INPUT`, `E_NOT_FOUND`, `E_MOUNT` or `E_REQUIREMENT`; then nothing is mounted.
 */
export async function mountTree(
  path: string,
  tree: ReadOnlyTree,
  { searchPath, inFlightMax = inFlightMaxDefault }: TreeMountOptions = {},
): Promise<TreeSession> {
  const mounter = await findMounter(searchPath);
  const mountpoint = await checkTreeMountpoint(path, (place) => mounter.unmount(place, true));
  const restrictions = { readOnly: true, noSuid: true, noDevices: true, noExecution: false };
  const serve = (native: NativeSession) => {
    const send: SendAnswer = (id, errno, payload) => native.answer(id, errno, payload);
    const requests = new TreeRequests(tree, loadAddon().treeLayout, send);
    return () => {
      for (let batch = native.requests(); batch.length > 0; batch = native.requests()) {
        for (const request of batch) void requests.answer(request);
      }
    };
  };
  // The transport is fixed: answers come later than the function that handles a request returns.
  const parts = { transport: 'device', inFlightMax, serve } as const;
  const form = { restrictions, ownersDoNotMatter: true };
  const mounted = await Mounted.open(mounter, { mountpoint, form, parts });
  if (mounted.device !== undefined) await liftWritebackLimits(mounted.device);
  return {
    mountpoint: mounted.mountpoint,
    counters: () => mounted.native.counters(),
    unmount: (options) => mounted.unmount(options),
    closed: mounted.ended,
    [Symbol.asyncDispose]: () => mounted.unmount({ lazy: true }),
  };
}
